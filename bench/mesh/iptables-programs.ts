// install as a process against Istio's own program, which writes the whole redirection: the same fresh namespace, in
// turns.
import { performance } from 'node:perf_hooks';
import { addPair } from '../../test/harness/netns/network-namespaces.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { INSTALL } from '../bench-pod.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { median, rounds } from '../samples.ts';

const ROUNDS = 30;
const LEAST_ROUNDS = 10;
/** Seconds. */
const TIME = 30;
/** As istio-init has them (injection-template.yaml, Istio 1.31). */
const ISTIO = ['istio-iptables', '-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', ''];
const PORTS = ['-b', '*', '-d', '15090,15021,15020', '--log_output_level=default:error'];

/** @param pilotAgent path of Istio's program */
export async function benchIptables(pilotAgent: string, tell: Tell): Promise<Figure[]> {
  const samples = { ours: [] as number[], istio: [] as number[] };
  for (const round of rounds(ROUNDS, LEAST_ROUNDS, TIME, Date.now)) {
    tell(`install against istio-iptables: round ${round + 1} of ${ROUNDS}`);
    const ours = async () => samples.ours.push(await timeIn([process.execPath, INSTALL]));
    const istio = async () => samples.istio.push(await timeIn([pilotAgent, ...ISTIO, ...PORTS]));
    for (const sample of round % 2 === 0 ? [ours, istio] : [istio, ours]) await sample();
  }
  const [value, reference] = [median(samples.ours), median(samples.istio)];
  const name = "install, against Istio's own iptables program";
  return [makeFigure({ name, value, reference, unit: 'ms', goal: 'ratio <= 1' })];
}

/** @returns milliseconds in a fresh namespace */
async function timeIn([command = '', ...args]: string[]): Promise<number> {
  // Istio's program looks for the pod's own address.
  const { pod, remove } = await addPair();
  try {
    const started = performance.now();
    await pod.must(command, args);
    return performance.now() - started;
  } finally {
    await remove();
  }
}
