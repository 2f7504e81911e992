// No connection is worse off with invalid-drop than without: one segment of each is changed, and what becomes of it is
// observed in a pod without and in a pod with the shipped programs.
import type { Test } from 'tap';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { addPair, type Pair } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { install, startChecker } from '../harness/netns/shipped-programs.ts';
import { makeChangedExchange, ROUTES } from '../harness/never-worse/changed-exchange.ts';
import {
  type ComparedExchange,
  isWorse,
  leftHarmed,
  mustBeFine,
  pairUp,
  summary,
} from '../harness/never-worse/compared-exchanges.ts';
import { ExchangeObserver } from '../harness/never-worse/observe-exchanges.ts';

const COUNT = Number(process.env['CONNECTIONS'] || 200);
/** The same connections in each run, so that a failure comes from the change; SEED=random tries new ones. */
const { SEED: WANTED = '1' } = process.env;
const SEED = WANTED === 'random' ? Date.now() % 1_000_000_000 : Number(WANTED);
/** Connections that are open at the same time: those that are stuck are waited for once. Fewer on a slow machine. */
const BATCH = Math.ceil(200 / patient(patient(1)));

async function compareAll(t: Test, pairs: { without: Pair; with: Pair }): Promise<ComparedExchange[]> {
  const [without, guarded] = await Promise.all([
    ExchangeObserver.start(pairs.without),
    ExchangeObserver.start(pairs.with).then(async (observer) => {
      t.equal((await install(pairs.with.pod)).exitCode, 0);
      await startChecker(pairs.with.pod);
      return observer;
    }),
  ]);
  const all: ComparedExchange[] = [];
  while (all.length < COUNT) {
    const length = Math.min(BATCH, COUNT - all.length);
    const exchanges = Array.from({ length }, (_, i) => makeChangedExchange(SEED + all.length + i));
    const observed = await Promise.all([without.observe(exchanges), guarded.observe(exchanges)]);
    all.push(...pairUp(exchanges, ...observed));
    // tap keeps comments back until something is asserted.
    t.pass(`${all.length} of ${COUNT} connections`);
  }
  return all;
}

kernelTest('no connection is worse off with invalid-drop', async (t, pair) => {
  t.comment(`SEED=${SEED} CONNECTIONS=${COUNT}`);
  const second = await addPair();
  t.teardown(() => second.remove());
  const all = await compareAll(t, { without: pair, with: second });
  for (const route of ROUTES) {
    t.comment(
      summary(
        route,
        all.filter(({ exchange }) => exchange.route === route),
      ),
    );
  }
  t.comment(summary('connections', all));
  for (const line of leftHarmed(all)) t.comment(line);
  t.equal(all.length, COUNT);
  const worse = all.filter(isWorse);
  const unfine = all.filter((one) => mustBeFine(one) && one.with.fate !== 'fine');
  for (const one of new Set([...worse, ...unfine])) t.comment(JSON.stringify(one));
  t.equal(worse.length, 0, 'none is worse off');
  t.equal(unfine.length, 0, 'redirected connections whose bytes are sent again are fine within 10 s');
});
