// What the exemption lets pass and what not, with real packets, and that it is kept.
import { fileURLToPath } from 'node:url';
import { DROP_FROM_1_24, DROP_NATIVE } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { eventsOf, getPage, install, startChecker } from '../harness/netns/shipped-programs.ts';
import type { ConnectionFate } from '../harness/netns/stray-kinds.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';
import type { ChangedExchange, Route } from '../harness/never-worse/changed-exchange.ts';
import { ExchangeObserver } from '../harness/never-worse/observe-exchanges.ts';

const APP = fileURLToPath(new URL('../harness/traffic/app.ts', import.meta.url));
const BOTH = ['NET_ADMIN', 'NET_RAW'];
/** Far out of any window. */
const FAR = 2 ** 30;

/** Connections of one route, of each of which one segment that the pod receives is far over the window. */
function farOver(route: Route, count: number): ChangedExchange[] {
  const segment = route === 'outbound' ? 'answer' : 'request';
  const one = { route, segment, change: { sequence: FAR }, script: 0 } as const;
  return Array.from({ length: count }, (_, seed) => ({ ...one, seed, family: seed % 2 === 0 ? 'ipv4' : 'ipv6' }));
}

async function fatesOf(observer: ExchangeObserver, exchanges: ChangedExchange[]): Promise<ConnectionFate[]> {
  return (await observer.observe(exchanges)).map(({ fate }) => fate);
}

async function exemptionOf(pod: NetworkNamespace) {
  const { families, exempt } = JSON.parse((await getPage(pod, 'http://127.0.0.1:15099/selfcheck')).body);
  return { exempt, ipv4: families.ipv4.external.mustPass.holds, ipv6: families.ipv6.external.mustPass.holds };
}

/** Segments that a rule has dropped, by what iptables-save prints. */
async function droppedIn(pod: NetworkNamespace): Promise<number> {
  const listed = await pod.must('nft', ['list', 'ruleset']);
  return [...listed.matchAll(/counter packets (\d+) bytes \d+ (?:drop|jump ISTIO_DROP|jump istio-drop)/g)]
    .map(([, packets]) => Number(packets))
    .reduce((sum, packets) => sum + packets, 0);
}

kernelTest('segments of connections that the pod opened pass; of redirected ones they are dropped', async (t, pair) => {
  const observer = await ExchangeObserver.start(pair);
  t.equal((await install(pair.pod)).exitCode, 0);
  t.same(new Set(await fatesOf(observer, farOver('outbound', 10))), new Set(['fine']));
  t.equal(await droppedIn(pair.pod), 0, 'none was dropped');
  t.same(new Set(await fatesOf(observer, farOver('redirected', 10))), new Set(['fine']));
  t.ok((await droppedIn(pair.pod)) >= 10, 'each was dropped');
});

const ISTIO = [
  { name: '1.24 or later', program: 'iptables-nft-restore', args: ['--noflush'], input: DROP_FROM_1_24 },
  { name: 'native nftables', program: 'nft', args: ['-f', '-'], input: DROP_NATIVE },
  { name: 'legacy', program: 'iptables-legacy-restore', args: ['--noflush'], input: DROP_FROM_1_24 },
];
for (const { name, program, args, input } of ISTIO) {
  kernelTest(`Istio's own rule no longer drops what the pod's own sockets get (${name})`, async (t, pair) => {
    const observer = await ExchangeObserver.start(pair);
    await pair.pod.must(program, args, { input });
    t.equal((await install(pair.pod, {}, BOTH)).exitCode, 0);
    t.same(new Set(await fatesOf(observer, farOver('outbound', 10))), new Set(['fine']));
    if (name !== 'legacy') t.equal(await droppedIn(pair.pod), 0, 'none was dropped');
    await startChecker(pair.pod, {}, BOTH);
    t.same(await exemptionOf(pair.pod), { exempt: true, ipv4: 'yes', ipv6: 'yes' });
  });
}

for (const when of ['before', 'after'] as const) {
  kernelTest(`a listener on a specific address does not bring the reset back (started ${when})`, async (t, pair) => {
    const { pod, gateway } = pair;
    // The sidecar reaches the application on loopback.
    await startMesh(pair, 'nft', undefined, '127.0.0.1');
    if (when === 'after') t.equal((await install(pod)).exitCode, 0);
    const app = pod.start(process.execPath, [APP, ADDRESS.pod.ipv4]);
    await app.waitForOutput(/ready/);
    if (when === 'before') t.equal((await install(pod)).exitCode, 0);
    await startChecker(pod);
    await startStrays(gateway, 50);
    t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
    t.ok((await countStrays(gateway)) > 0);
    const listed = await pod.must('nft', ['list', 'set', 'inet', 'invalid-drop', 'listeners4']);
    t.match(listed, `${ADDRESS.pod.ipv4} . 9000`);
  });
}

kernelTest('an exemption that is gone is put back, and told apart from the rule', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_INTERVAL: '3600' });
  const ways = [
    ['delete', 'table', 'inet', 'invalid-drop'],
    ['flush', 'chain', 'inet', 'invalid-drop', 'stray'],
    ['flush', 'chain', 'inet', 'invalid-drop', 'prerouting'],
    ['add', 'table', 'inet', 'invalid-drop', '{ flags dormant; }'],
  ];
  for (const way of ways) {
    checker.output = '';
    await pod.must('nft', way);
    await checker.waitForOutput(/"event":"repaired"/);
    const events = eventsOf(checker);
    t.match(events[0], { event: 'exemption-lost', by: [{ process: 'nft' }] }, way.join(' '));
    t.match(events[1], { event: 'repaired', exemption: { action: 'inserted', form: 'table' } });
    t.same(await exemptionOf(pod), { exempt: true, ipv4: 'yes', ipv6: 'yes' });
  }
  const { body } = await getPage(pod, 'http://127.0.0.1:15099/metrics');
  t.match(body, new RegExp(`^invalid_drop_exemption_drift_total ${ways.length}$`, 'm'));
  t.match(body, /^invalid_drop_drift_total 0$/m);
});

kernelTest('what drops the packets behind the exemption is reported, and the pod stays ready', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod);
  await pod.must('iptables-nft', '-A INPUT -p tcp -m conntrack --ctstate UNTRACKED -j DROP'.split(' '));
  await checker.waitForOutput(/"event":"exemption-lost"/);
  t.same(await exemptionOf(pod), { exempt: false, ipv4: 'no', ipv6: 'yes' });
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
  const [lost] = eventsOf(checker).filter(({ event }) => event === 'exemption-lost');
  t.match(lost, { reasons: [/^ipv4 on \w+, ipv4 on \w+: dropped by ".*UNTRACKED -j DROP"/] });
});
