import { fileURLToPath } from 'node:url';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { addPair, type Pair, pinNeighbours } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import type { KernelComparison } from '../harness/random-rulesets/compare-with-kernel.ts';
import { SHAPER } from '../harness/random-rulesets/observer.ts';
import { PROBES } from '../harness/random-rulesets/probes.ts';

const WORKER = fileURLToPath(new URL('../harness/random-rulesets/compare-with-kernel.ts', import.meta.url));
const COUNT = Number(process.env['RULESETS'] || 300);
/** The same rulesets in each run, so that a failure comes from the change; SEED=random tries new ones. */
const { SEED: WANTED = '1' } = process.env;
const SEED = WANTED === 'random' ? Date.now() % 1_000_000_000 : Number(WANTED);
/** Milliseconds for one ruleset, on a machine that is very slow. */
const PATIENCE = patient(10_000);
/** Packets of a ruleset, and how many rulesets there are between two lines of progress. */
const PACKETS = PROBES.length;
const STRIDE = 50;
/** Rulesets that shares may be off by: packets of one ruleset share its result, so that among few they vary much. */
const SCATTER = 2;
/** Packets by the socket that they would meet, and what may become of them. */
const KINDS = [
  { socket: 'none', packets: 'with no socket of their own', outcomes: ['dropped', 'not dropped'] },
  { socket: 'listener', packets: 'at a listener on one address', outcomes: ['dropped', 'not dropped'] },
  { socket: 'own', packets: 'with a socket of their own that reach it', outcomes: ['yes', 'no'] },
] as const;

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

kernelTest('the verdicts agree with the kernel on random rulesets', async (t, pair) => {
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

  const isWrong = ({ verdict, kernel }: KernelComparison) => verdict !== 'unknown' && verdict !== kernel;
  const wrong = all.filter(isWrong);
  const unknown = all.filter(({ verdict }) => verdict === 'unknown');
  for (const { seed, packet, reason } of unknown) t.comment(`unknown: seed ${seed}: ${packet.socket}: ${reason}`);
  t.comment(`${COUNT} rulesets, ${all.length} packets: ${wrong.length} disagreements, ${unknown.length} unknown`);
  for (const { socket, packets, outcomes } of KINDS) {
    const some = all.filter(({ packet }) => packet.socket === socket);
    const counts = outcomes.map((outcome) => some.filter((one) => one.verdict === outcome && one.kernel === outcome));
    const unsure = some.filter(({ verdict }) => verdict === 'unknown').length;
    t.comment(
      `${some.length} packets ${packets}: ${outcomes.map((outcome, i) => `${counts[i]?.length} ${outcome}`).join(', ')}, ` +
        `${some.filter(isWrong).length} disagreements, ${unsure} unknown`,
    );
    const scatter = (SCATTER * some.length) / COUNT;
    t.ok(unsure <= 0.03 * some.length + scatter, `about 3 % unknown at most: ${unsure} of ${some.length} ${packets}`);
    const fewest = Math.min(...counts.map(({ length }) => length));
    t.ok(fewest > 0.15 * some.length - scatter, `both outcomes are tested: ${packets}`);
  }
  t.equal(all.length, PACKETS * COUNT);
  for (const { seed, packet, verdict, reason, kernel, ruleset } of wrong.slice(0, 3)) {
    t.fail(`seed ${seed}: the verdict is ${verdict} (${reason}), the kernel: ${kernel}`, { packet, ruleset });
  }
  t.equal(wrong.length, 0, 'no disagreement');
});
