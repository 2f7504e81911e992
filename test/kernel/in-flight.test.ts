// The rule comes to a pod that has connections: those that were there before are guarded too, and not cut.
import { fileURLToPath } from 'node:url';
import { until } from '../webhook/until.ts';
import { kernelTest } from './kernel-test.ts';
import { startMesh } from './mesh.ts';
import { ADDRESS } from './namespaces.ts';
import { install } from './programs.ts';
import { countStrays, startStrays } from './stray.ts';

const SCRIPT = fileURLToPath(new URL('traffic/held-upload.ts', import.meta.url));
const EVERY = 20;

for (const backend of ['nft', 'legacy'] as const) {
  for (const family of ['ipv4', 'ipv6'] as const) {
    kernelTest(
      `an upload in flight when the rule comes is not cut, and is guarded from then on (${backend}, ${family})`,
      async (t, pair) => {
        await startMesh(pair, backend);
        const upload = pair.gateway.start(process.execPath, [SCRIPT, ADDRESS.pod[family]]);
        await upload.saw(/in flight/);
        t.equal((await install(pair.pod, {}, ['NET_ADMIN', 'NET_RAW'])).exitCode, 0);
        await startStrays(pair.gateway, EVERY);
        await until('there were stray segments', async () => upload.closed || (await countStrays(pair.gateway)) > 5);
        upload.child.stdin?.end();
        const { stdout } = await upload.end(60_000);
        const { sent, received, error } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
        t.equal(error, undefined);
        t.equal(received, sent);
      },
    );
  }
}
