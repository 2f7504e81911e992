// The reproducer for the kernel's mailing list: docs/upstream.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { isAtLeast } from '../harness/netns/kernel-requirements.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { patient, run } from '../harness/netns/processes.ts';

const FOLDER = fileURLToPath(new URL('../../docs/upstream', import.meta.url));
/** The script makes network namespaces of its own; if it is killed, they end with these namespaces. */
const ENCLOSED = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const COMMAND = `mount -t tmpfs tmpfs /run/netns && exec bash ${FOLDER}/nf_conntrack_tcp_overshoot.sh`;
/** TCP gives a stuck connection up after 6 s. */
const LIMIT = patient(60_000);

/** How many packets are INVALID in a stuck connection depends on when TCP sends again. */
const withoutCounts = (text: string) => text.replace(/\d+(?=\)$)/gm, 'N');

kernelTest('the reproducer fails where the kernel has the behaviour, and its controls pass', async (t) => {
  const { exitCode, stdout, stderr } = await run('unshare', [...ENCLOSED, 'sh', '-c', COMMAND], { limit: LIMIT });
  const isAffected = isAtLeast(6, 1);
  t.equal(stderr, '');
  t.same(stdout.match(/^\w+(?=:)/gm), [isAffected ? 'FAIL' : 'PASS', 'PASS', 'PASS'], stdout);
  t.equal(exitCode, isAffected ? 1 : 0);
  const page = await readFile(`${FOLDER}/README.md`, 'utf8');
  if (isAffected) t.ok(withoutCounts(page).includes(withoutCounts(stdout)), `the page shows: ${stdout}`);
});
