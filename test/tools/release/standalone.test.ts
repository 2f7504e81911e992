// The program for those without Node, made and run as they run it.
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import t from 'tap';
import { VERSION } from '../../../lib/contract.ts';
import { makeStandalone } from '../../../tools/release/standalone.ts';
import { run } from '../../harness/netns/processes.ts';

const BUNDLE = new URL('../../../dist/cli/kubectl-invalid_drop.cjs', import.meta.url);
const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';

t.test('without any Node in PATH, and whatever the environment says to Node', async (t) => {
  await t.resolves(access(BUNDLE, constants.R_OK), 'npm run build has made the bundle');
  const out = `${t.testdir({})}/kubectl-invalid_drop`;
  t.ok((await makeStandalone(ARCH, out)) > 10e6);
  const env = { PATH: '/nonexistent', NODE_OPTIONS: '--version' };
  const version = await run(out, ['version', '-o', 'json'], { env });
  t.match(version, { exitCode: 0, stderr: '' });
  t.match(JSON.parse(version.stdout), { version: VERSION, node: process.version });
  const nowhere = await run(out, ['status', '--kubeconfig', '/nonexistent'], { env });
  t.match(nowhere, { exitCode: 2, stdout: '', stderr: /^CLUSTER_CONFIGURATION: .*\/nonexistent/ }, 'the library loads');
});
