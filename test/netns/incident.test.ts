import { kernelTest } from '../harness/netns/netns-test.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { install } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';

const EVERY = 50;

for (const backend of ['nft', 'legacy'] as const) {
  for (const family of ['ipv4', 'ipv6'] as const) {
    kernelTest(
      `uploads with stray segments: reset without the rule, fine with it (${backend}, ${family})`,
      async (t, pair) => {
        await startMesh(pair, backend);
        const clean = await upload(pair, family, UPLOAD, 1);
        t.match(clean, [{ ok: true }], 'a clean upload passes');
        await startStrays(pair.gateway, EVERY);
        for (const { ok, error } of await upload(pair, family, UPLOAD, 2)) {
          t.equal(ok, false);
          t.match(error, /ECONNRESET|EPIPE/);
        }
        t.equal((await install(pair.pod, {}, ['NET_ADMIN', 'NET_RAW'])).exitCode, 0);
        const before = await countStrays(pair.gateway);
        for (const { ok, error } of await upload(pair, family, UPLOAD, 3)) t.equal(ok, true, error ?? 'passes');
        t.ok((await countStrays(pair.gateway)) > before, 'there were stray segments');
      },
    );
  }
}
