// The rules of Istio's ambient mode as istio-cni's own code writes them, with each backend, in network namespaces: uploads
// of plaintext over both families without us and with us, what is left when either side's rules are removed, the verdicts beside
// the kernel, and connections of which one segment is changed.
import { fileURLToPath } from 'node:url';
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { MESHES } from '../../lib/mesh/meshes.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { findAmbientPrograms } from '../../tools/mesh/ambient-programs.ts';
import { compareModes } from '../harness/mesh-rules/compare-modes.ts';
import { compareVerdicts } from '../harness/mesh-rules/compare-verdicts.ts';
import type { MeshSetup } from '../harness/mesh-rules/mesh-setups.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { NetworkNamespace, Pair } from '../harness/netns/network-namespaces.ts';
import { UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { getPage, install, startChecker } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays, stopStrays } from '../harness/netns/stray-segments.ts';

const APPLICATION = fileURLToPath(new URL('../harness/traffic/app.ts', import.meta.url));
const UPLOADS = 3;
const EVERY = 50;
const FAMILIES = ['ipv4', 'ipv6'] as const;
/** As tools/istio/ambient-rules names them, with what finds their chain of nat. */
const WRITERS = {
  nft: { title: 'iptables-nft', chain: /ISTIO_PRERT/, list: ['iptables-nft-save'] },
  legacy: { title: 'iptables-legacy', chain: /ISTIO_PRERT/, list: ['iptables-legacy-save'] },
  nftables: { title: 'native nftables', chain: /istio-ambient-nat/, list: ['nft', 'list', 'tables'] },
} as const;
/** As nft lists it, or iptables-legacy-save. */
const DROPS = /ct state invalid.* drop|--ctstate INVALID -j DROP/;
const CAPABILITIES = ['NET_ADMIN', 'NET_RAW'];

async function failed(pair: Pair): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (const family of FAMILIES) {
    await startStrays(pair.gateway, EVERY);
    const uploads = await upload(pair, family, UPLOAD, UPLOADS);
    const strays = await countStrays(pair.gateway);
    await stopStrays(pair.gateway);
    if (strays < UPLOADS) throw new Error(`${strays} stray segments`);
    seen[family] = uploads.filter(({ ok }) => !ok).length;
  }
  return seen;
}

/** All rules of IPv4, in which ours are looked for: the checker writes with the backend that istio-cni has used. */
async function ourRules(pod: NetworkNamespace): Promise<string> {
  return (await pod.must('nft', ['--stateless', 'list', 'ruleset'])) + (await pod.must('iptables-legacy-save'));
}

for (const [writer, { title, chain, list }] of Object.entries(WRITERS)) {
  kernelTest(`istio-cni's rules by ${title}`, async (t, pair) => {
    const { pod } = pair;
    const programs = await findAmbientPrograms(readSettings(process.env).cache);
    const [command, ...args] = list;
    const isRedirected = async () => chain.test(await pod.must(command, args));
    await pod.must(programs.rules, [writer, 'create']);
    const inPod = [pod.start(process.execPath, [APPLICATION]), pod.start(programs.ztunnel, [])];
    await Promise.all(inPod.map((program) => program.waitForOutput(/ready/)));
    const without = await failed(pair);
    t.strictSame(without, { ipv4: UPLOADS, ipv6: UPLOADS }, 'reset without us');

    t.equal((await install(pod, {}, CAPABILITIES)).exitCode, 0);
    await startChecker(pod, {}, CAPABILITIES);
    const withUs = await failed(pair);
    t.strictSame(withUs, { ipv4: 0, ipv6: 0 }, 'none with us');
    t.comment(`${title}\t${JSON.stringify({ uploads: UPLOADS, without, withUs })}`);
    const { guarded } = JSON.parse((await getPage(pod, 'http://127.0.0.1:15099/selfcheck')).body) as CheckerReport;
    t.equal(guarded, true);

    await pod.must(programs.rules, [writer, 'delete']);
    t.notOk(await isRedirected(), 'istio-cni has removed its rules');
    t.match(await ourRules(pod), DROPS, 'and ours are there');
    await pod.must(programs.rules, [writer, 'create']);
    t.ok(await isRedirected(), 'it puts them in again');
    t.strictSame(await failed(pair), { ipv4: 0, ipv6: 0 }, 'and none is reset');
  });
}

for (const [writer, { title }] of Object.entries(WRITERS)) {
  kernelTest(`the verdicts on istio-cni's rules by ${title} are what the kernel does`, async (t, pair) => {
    const { rules } = await findAmbientPrograms(readSettings(process.env).cache);
    await compareVerdicts(t, pair, () => pair.pod.must(rules, [writer, 'create']));
  });
}

kernelTest('no connection to a pod of the ambient mode is worse off', async (t) => {
  const { rules, ztunnel } = await findAmbientPrograms(readSettings(process.env).cache);
  const setup: MeshSetup = {
    ...{ title: 'Istio ambient', mesh: 'istio-ambient', origin: 'run', version: '1.31', families: [...FAMILIES] },
    proxyPort: MESHES['istio-ambient'].inboundPort,
    proxyUid: MESHES['istio-ambient'].proxyUid,
    redirect: async (pod) => void (await pod.must(rules, ['nft', 'create'])),
    startProxy: (pod) => pod.start(ztunnel, []),
  };
  // What the pod opens goes through ztunnel, and on from another port: its segments cannot be told.
  await compareModes(t, setup, ['redirected', 'loopback']);
});
