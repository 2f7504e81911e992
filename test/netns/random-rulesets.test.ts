import { fileURLToPath } from 'node:url';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { addPair, type Pair, pinNeighbours } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import type { KernelComparison } from '../harness/random-rulesets/compare-with-kernel.ts';
import { SHAPER } from '../harness/random-rulesets/observer.ts';

const WORKER = fileURLToPath(new URL('../harness/random-rulesets/compare-with-kernel.ts', import.meta.url));
const COUNT = Number(process.env['RULESETS'] || 300);
/** The same rulesets in each run, so that a failure comes from the change; SEED=random tries new ones. */
const { SEED: WANTED = '1' } = process.env;
const SEED = WANTED === 'random' ? Date.now() % 1_000_000_000 : Number(WANTED);
/** Milliseconds for one ruleset, on a machine that is very slow. */
const PATIENCE = patient(10_000);
/** Packets of a ruleset, and how many rulesets there are between two lines of progress. */
const PACKETS = 4;
const STRIDE = 50;
/**
 * Tolerance in packets for shares of all packets. Packets of one ruleset share its result, so that among few rulesets
 * shares vary much. Of seed 1's first 20 rulesets 6 packets are unknown, of its first 60 only 8.
 */
const SCATTER = 2 * PACKETS;

/** Compares `count` rulesets in a pod of their own. `tell` is called once for each STRIDE of them. */
async function compareIn(pair: Pair, seed: number, count: number, tell: () => void): Promise<KernelComparison[]> {
  const { pod, gateway } = pair;
  await pinNeighbours(pair);
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const limit = 30_000 + count * PATIENCE;
  const worker = pod.start(process.execPath, [WORKER, gateway.name, String(seed), String(count)], { timeout: limit });
  let packets = 0;
  worker.child.stdout?.on('data', (text: string) => {
    for (const _ of text.matchAll(/\n/g)) if (++packets % (PACKETS * STRIDE) === 0) tell();
  });
  const { exitCode, stdout, stderr } = await worker.end(limit);
  if (exitCode !== 0) throw new Error(`the worker ended with ${exitCode} after "${stdout.slice(-200)}": ${stderr}`);
  const lines = stdout.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as KernelComparison);
}

kernelTest('the verdict agrees with the kernel on random rulesets', async (t, pair) => {
  t.comment(`SEED=${SEED} RULESETS=${COUNT}`);
  // Most of the time the kernel waits for readers of old rules: two pods take half the time.
  const second = await addPair();
  t.teardown(() => second.remove());
  const half = Math.ceil(COUNT / 2);
  let done = 0;
  const tell = () => {
    done += STRIDE;
    t.comment(`${done} of ${COUNT} rulesets`);
  };
  const compared = [compareIn(pair, SEED, half, tell), compareIn(second, SEED + half, COUNT - half, tell)];
  const all = (await Promise.all(compared)).flat();

  const count = (verdict: string, kernel: string) =>
    all.filter((one) => one.verdict === verdict && one.kernel === kernel).length;
  const wrong = all.filter(({ verdict, kernel }) => verdict !== 'unknown' && verdict !== kernel);
  const unknown = all.filter(({ verdict }) => verdict === 'unknown');
  t.comment(
    `${COUNT} rulesets, ${all.length} packets: ${count('dropped', 'dropped')} dropped, ` +
      `${count('not dropped', 'not dropped')} not dropped, ${wrong.length} disagreements, ${unknown.length} unknown`,
  );
  for (const { seed, reason } of unknown) t.comment(`unknown: seed ${seed}: ${reason}`);
  t.equal(all.length, PACKETS * COUNT);
  for (const { seed, packet, verdict, reason, kernel, ruleset } of wrong.slice(0, 3)) {
    t.fail(`seed ${seed}: the verdict is ${verdict} (${reason}), the kernel: ${kernel}`, { packet, ruleset });
  }
  t.equal(wrong.length, 0, 'no disagreement on dropped and not dropped');
  t.ok(unknown.length <= 0.05 * all.length + SCATTER, `about 5 % unknown at most: ${unknown.length} of ${all.length}`);
  const both = Math.min(count('dropped', 'dropped'), count('not dropped', 'not dropped'));
  t.ok(both > 0.2 * all.length - SCATTER, 'both outcomes are tested');
});
