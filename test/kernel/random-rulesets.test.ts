import { fileURLToPath } from 'node:url';
import { kernelTest } from './kernel-test.ts';
import { pinNeighbours } from './namespaces.ts';
import { SHAPER } from './random/observer.ts';
import type { Comparison } from './random/worker.ts';

const WORKER = fileURLToPath(new URL('random/worker.ts', import.meta.url));
const COUNT = Number(process.env['RULESETS'] || 300);
const SEED = Number(process.env['SEED'] || Date.now() % 1_000_000_000);
/** Milliseconds for one ruleset, on a machine that is very slow. */
const PATIENCE = 2000;

kernelTest('the verdict agrees with the kernel on random rulesets', async (t, pair) => {
  const { pod, gateway } = pair;
  t.comment(`SEED=${SEED} RULESETS=${COUNT}`);
  await pinNeighbours(pair);
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const worker = pod.start(process.execPath, [WORKER, gateway.name, String(SEED), String(COUNT)]);
  const { exitCode, stdout, stderr } = await worker.end(30_000 + COUNT * PATIENCE);
  t.equal(exitCode, 0, stderr || 'the worker ran to its end');
  const all = stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Comparison);
  const count = (verdict: string, kernel: string) =>
    all.filter((one) => one.verdict === verdict && one.kernel === kernel).length;
  const wrong = all.filter(({ verdict, kernel }) => verdict !== 'unknown' && verdict !== kernel);
  const unknown = all.filter(({ verdict }) => verdict === 'unknown');
  t.comment(
    `${COUNT} rulesets, ${all.length} packets: ${count('dropped', 'dropped')} dropped, ${count('escapes', 'escapes')} escape, ` +
      `${wrong.length} disagreements, ${unknown.length} unknown`,
  );
  t.equal(all.length, 4 * COUNT);
  for (const { seed, packet, verdict, reason, kernel, ruleset } of wrong.slice(0, 3)) {
    t.fail(`seed ${seed}: the verdict is ${verdict} (${reason}), the kernel: ${kernel}`, { packet, ruleset });
  }
  t.equal(wrong.length, 0, 'no disagreement on dropped and escapes');
  t.ok(unknown.length <= 0.05 * all.length, `at most 5 % unknown: ${unknown.length} of ${all.length}`);
  t.ok(
    count('dropped', 'dropped') > 0.2 * all.length && count('escapes', 'escapes') > 0.2 * all.length,
    'both are tested',
  );
});
