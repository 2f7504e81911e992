// The rule is installed in a pod that has connections: they are guarded too, and go on.
import { fileURLToPath } from 'node:url';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS } from '../harness/netns/network-namespaces.ts';
import { startMesh } from '../harness/netns/redirected-upload.ts';
import { install } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';
import { until } from '../harness/wait-until.ts';

const SCRIPT = fileURLToPath(new URL('../harness/traffic/held-upload.ts', import.meta.url));
const EVERY = 20;

for (const backend of ['nft', 'legacy'] as const) {
  for (const family of ['ipv4', 'ipv6'] as const) {
    kernelTest(
      `an upload in flight when the rule comes is not cut, and is guarded from then on (${backend}, ${family})`,
      async (t, pair) => {
        await startMesh(pair, backend);
        const upload = pair.gateway.start(process.execPath, [SCRIPT, ADDRESS.pod[family]]);
        await upload.waitForOutput(/in flight/);
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
