// Connections to the pods of a mesh, of which one segment is changed, without us and with us in both modes: those of
// never-worse.test.ts, a few of each mesh, and those that hang where a rule drops INVALID packets alone.
import type { Test } from 'tap';
import { startGuard } from '../netns/guarded-namespace.ts';
import { isAtLeast } from '../netns/kernel-requirements.ts';
import { addPair, type NetworkNamespace } from '../netns/network-namespaces.ts';
import { install, startChecker } from '../netns/shipped-programs.ts';
import { type ChangedExchange, makeChangedExchange, ROUTES, type Route } from '../never-worse/changed-exchange.ts';
import { isWorse, mustBeFine, pairUp, summary } from '../never-worse/compared-exchanges.ts';
import { ExchangeObserver, type ObservedExchange } from '../never-worse/observe-exchanges.ts';
import type { MeshSetup } from './mesh-setups.ts';

/** Connections of each mesh; the same seed as never-worse.test.ts has by default. */
const COUNT = 30;
const { SEED: WANTED = '1' } = process.env;
const SEED = WANTED === 'random' ? Date.now() % 1_000_000_000 : Number(WANTED);
/** A segment half a window over the window: stray-kinds.ts. */
const NEAR: ChangedExchange[] = Array.from({ length: 4 }, (_, seed) => ({
  ...{ seed, route: 'redirected', segment: 'request', script: 0 },
  family: seed % 2 === 0 ? 'ipv4' : 'ipv6',
  change: { sequence: 65_160 + 30_000 },
}));

const MODES: Record<string, (t: Test, pod: NetworkNamespace) => Promise<unknown>> = {
  'without us': async () => undefined,
  'pod mode': async (t, pod) => {
    t.equal((await install(pod)).exitCode, 0, 'install');
    await startChecker(pod);
  },
  'node mode': (t, pod) => startGuard(t, `/run/netns/${pod.name}`),
  'node mode, be-liberal disabled': (t, pod) => startGuard(t, `/run/netns/${pod.name}`, { beLiberal: 'disabled' }),
};

/** A pod of its own in that mode. */
async function startIn(t: Test, setup: MeshSetup, mode: string): Promise<ExchangeObserver> {
  const pair = await addPair();
  t.teardown(() => pair.remove());
  const observer = await ExchangeObserver.start(pair, setup);
  await MODES[mode]?.(t, pair.pod);
  return observer;
}

/** One word where all have the same. */
const fatesOf = (observed: ObservedExchange[]) => [...new Set(observed.map(({ fate }) => fate))].join(' and ');

/**
 * Asserts that none is worse off with us, and prints a row of what becomes of those half a window over the window.
 * @param routes connections of the others are left out
 */
export async function compareModes(t: Test, setup: MeshSetup, routes: readonly Route[] = ROUTES): Promise<void> {
  t.comment(`SEED=${SEED} CONNECTIONS=${COUNT}`);
  const near = NEAR.filter(({ family }) => setup.families.includes(family));
  const made = Array.from({ length: COUNT }, (_, i) => makeChangedExchange(SEED + i));
  const others = made.filter(({ route }) => routes.includes(route));
  const all = [...near, ...others];
  const modes = Object.keys(MODES);
  const observers = await Promise.all(modes.map((mode) => startIn(t, setup, mode)));
  const observed = await Promise.all(observers.map((observer) => observer.observe(all)));
  const [without = [], ...guarded] = observed;
  const fates = observed.map((ofMode) => fatesOf(ofMode.slice(0, near.length)));
  // Before Linux 6.1 such a segment is INVALID itself.
  if (isAtLeast(6, 1)) t.equal(fates[0], setup.dropsInvalid ? 'stuck' : 'reset', 'near, without us');
  for (const [i, ofMode] of guarded.entries()) {
    const what = `${modes[i + 1]}`;
    const compared = pairUp(all, without, ofMode);
    t.equal(compared.length, all.length, `${what}: all were observed`);
    const worse = compared.filter(isWorse);
    const unfine = compared.filter((one) => mustBeFine(one) && one.with.fate !== 'fine');
    for (const one of new Set([...worse, ...unfine])) t.comment(JSON.stringify(one));
    t.comment(summary(`connections, ${what}`, compared));
    t.equal(worse.length, 0, `${what}: none is worse off`);
    t.equal(unfine.length, 0, `${what}: redirected connections whose bytes are sent again are fine`);
  }
  t.comment(
    `| ${[setup.title, `${setup.origin}, ${setup.version}`, setup.families.join(' and '), ...fates].join(' | ')} |`,
  );
}
