import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { type AskKept, fateAfter, talkTo } from '../harness/netns/kept-client.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, addPair, type Pair } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { startAsSidecar, startMesh } from '../harness/netns/redirected-upload.ts';
import { install, startChecker } from '../harness/netns/shipped-programs.ts';
import {
  fatesOf,
  STATES,
  STRAY_KINDS,
  STRAY_ROUTES,
  type StrayFate,
  type StrayKind,
  type StrayRoute,
} from '../harness/netns/stray-kinds.ts';
import {
  aim,
  countHits,
  readPosition,
  sawInvalid,
  startNotes,
  startWatch,
  withSoftwareChecksums,
} from '../harness/netns/stray-segments.ts';

const script = (name: string) => fileURLToPath(new URL(`../harness/traffic/${name}.ts`, import.meta.url));
const KEEP = script('kept-connection');
const SERVED = 9000;
const DEFAULTS = { be_liberal: 0, loose: 1 };

type State = (typeof STATES)[number];

/** Milliseconds after which a connection counts as stuck: many times what TCP waits before it sends again. */
const STUCK = patient(4000);
/** The whole cure has time to rescue it. */
const STUCK_AFTER: Record<State, number> = {
  'without us': STUCK,
  'rule alone': STUCK,
  'whole cure': patient(10_000),
};

const SET_UP: Record<State, (pair: Pair) => Promise<void>> = {
  'without us': async () => undefined,
  'rule alone': async ({ pod }) => {
    await pod.must('iptables-nft', ['-t', 'mangle', '-I', 'PREROUTING', ...RULE.tcp.split(' ')]);
  },
  'whole cure': async ({ pod }) => {
    const { exitCode, stderr } = await install(pod);
    if (exitCode !== 0) throw new Error(`install ended with ${exitCode}: ${stderr}`);
    await startChecker(pod);
  },
};

/** A pod in one state, a gateway, and a client in each. */
interface Observed {
  pair: Pair;
  asks: Record<StrayRoute, AskKept>;
  limit: number;
}

async function setUp(pair: Pair, state: State): Promise<Observed> {
  const { pod, gateway } = pair;
  await startMesh(pair, 'nft');
  await gateway.start(process.execPath, [script('app')]).waitForOutput(/ready/);
  await withSoftwareChecksums(gateway);
  await startWatch(pod);
  await SET_UP[state](pair);
  const asks = {
    redirected: talkTo(gateway.start(process.execPath, [KEEP, ADDRESS.pod.ipv4])),
    outbound: talkTo(startAsSidecar(pod, KEEP, ADDRESS.gateway.ipv4)),
  };
  return { pair, asks, limit: STUCK_AFTER[state] };
}

/** One connection, one stray segment: of a request to the pod, or of an answer to the pod. */
async function strayOnce({ pair: { pod, gateway }, asks, limit }: Observed, kind: StrayKind, route: StrayRoute) {
  const { change, forgotten, sysctls } = kind;
  const writes = Object.entries({ ...DEFAULTS, ...sysctls }).map(
    ([name, value]) => `echo ${value} > /proc/sys/net/netfilter/nf_conntrack_tcp_${name}`,
  );
  await pod.must('sh', ['-c', writes.join(' && ')]);
  await startNotes(gateway);
  const ask = asks[route];
  const port = Number((await ask('open')).split(' ')[1]);
  let [, sent, received] = (await ask('send')).split(' ').map(Number);
  if (forgotten) await pod.must('conntrack', ['--flush']);
  if (forgotten && change) [, sent, received] = (await ask('send')).split(' ').map(Number);
  const [toPod = 0, fromPod = 0] = route === 'redirected' ? [sent, received] : [received, sent];
  const ports = route === 'redirected' ? { source: port, destination: SERVED } : { source: SERVED, destination: port };
  await aim(gateway, ports, await readPosition(gateway, toPod, fromPod), change);
  const outcome = await fateAfter(ask, limit);
  if ((await countHits(gateway)) !== 1) throw new Error('no segment was changed');
  return { outcome, invalid: await sawInvalid(pod, ports) };
}

async function observe(states: Observed[], kind: StrayKind, route: StrayRoute): Promise<StrayFate> {
  const seen = await Promise.all(states.map((state) => strayOnce(state, kind, route)));
  const [without, ruleAlone, wholeCure] = seen as [(typeof seen)[0], (typeof seen)[0], (typeof seen)[0]];
  if (new Set(seen.map(({ invalid }) => invalid)).size > 1) throw new Error(`${kind.name}: not always INVALID`);
  return [without.invalid ? 'INVALID' : 'valid', without.outcome, ruleAlone.outcome, wholeCure.outcome];
}

kernelTest('each kind of stray segment has the result that is known for this kernel', async (t, pair) => {
  const others = [await addPair(), await addPair()];
  t.teardown(() => Promise.all(others.map((other) => other.remove())));
  const pairs = [pair, ...others];
  const states: Observed[] = [];
  // One after the other: an emulated machine is slow to start many programs at once.
  for (const [i, state] of STATES.entries()) states.push(await setUp(pairs[i] as Pair, state));
  for (const kind of STRAY_KINDS) {
    for (const route of STRAY_ROUTES) {
      const fate = await observe(states, kind, route);
      // For the tables in docs/kernels.md.
      t.comment(`observed ${JSON.stringify({ route, kind: kind.name, fate })}`);
      t.same(fate, fatesOf(kind, release())[route], `${route}: ${kind.name}`);
    }
  }
});
