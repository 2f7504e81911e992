// The verdicts on a mesh's rules beside what the kernel does to the packets: without us, with us in both modes, and after we
// were taken out.
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { makeGuard, startGuard } from '../netns/guarded-namespace.ts';
import { type Pair, pinNeighbours } from '../netns/network-namespaces.ts';
import { install } from '../netns/shipped-programs.ts';
import type { ProbeComparison } from '../random-rulesets/kernel-comparer.ts';
import { SHAPER } from '../random-rulesets/observer.ts';

const WORKER = fileURLToPath(new URL('compare-in-place.ts', import.meta.url));

/** What is expected of stray packets, and whether those with a socket of their own reach it. */
interface Expected {
  stray: 'dropped' | 'not dropped';
  own: 'yes' | 'no';
}

const GUARDED: Expected = { stray: 'dropped', own: 'yes' };

/** Starts the worker. @returns a function that compares now, and asserts that the two agree and are as expected */
async function startComparing(t: Test, { pod, gateway }: Pair) {
  const worker = pod.start(process.execPath, [WORKER, gateway.name]);
  await worker.waitForOutput(/ready\n/);
  let lines = 1;
  return async (state: string, { stray, own }: Expected) => {
    worker.child.stdin?.write('\n');
    await worker.waitForOutput(new RegExp(`^(.*\n){${++lines}}`));
    const compared = JSON.parse(worker.output.split('\n')[lines - 1] ?? '') as ProbeComparison[];
    for (const { packet, verdict, kernel, reason } of compared) {
      const what = `${state}: ${packet.family} on ${packet.iif} to port ${packet.destinationPort}`;
      const expected = packet.socket === 'own' ? own : stray;
      t.same({ verdict, kernel }, { verdict: expected, kernel: expected }, `${what}: ${reason || verdict}`);
    }
  };
}

/**
 * Asserts that the two agree in each state.
 * @param putRules puts the mesh's rules in
 * @param dropsInvalid whether one of them drops INVALID packets
 */
export async function compareVerdicts(
  t: Test,
  pair: Pair,
  putRules: () => Promise<unknown>,
  dropsInvalid = false,
): Promise<void> {
  const { pod, gateway } = pair;
  await pinNeighbours(pair);
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const compare = await startComparing(t, pair);
  await putRules();
  const alone: Expected = dropsInvalid ? { stray: 'dropped', own: 'no' } : { stray: 'not dropped', own: 'yes' };
  await compare('without us', alone);
  const { exitCode } = await install(pod, {}, ['NET_ADMIN', 'NET_RAW']);
  t.equal(exitCode, 0, 'install');
  await compare('pod mode', GUARDED);
  const path = `/run/netns/${pod.name}`;
  await makeGuard(t, path).guard.withdraw();
  await compare('taken out', alone);
  const { guard } = await startGuard(t, path);
  await compare('node mode', GUARDED);
  guard.stop();
  await guard.withdraw();
  await compare('taken out again', alone);
}
