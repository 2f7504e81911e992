// install as a process, against a bare Node and the netfilter programs that it runs, each alone.
import { fileURLToPath } from 'node:url';
import { Namespace } from '../test/harness/netns/namespaces.ts';
import { INSTALL, type PodState, prepare } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import type { Tell } from './progress-line.ts';
import { recordPrograms, type Start } from './recorder.ts';
import { rounds } from './rounds.ts';
import { median } from './statistics.ts';

const STATES: PodState[] = ['empty', 'istio-nft', 'istio-legacy'];
const ROUNDS = 20;
const LEAST_ROUNDS = 5;
/** Seconds for one state. */
const TIME = 15;
const TIMER = fileURLToPath(new URL('inside/time-programs.ts', import.meta.url));
const NODE = process.execPath;

/** @param folder for what is recorded; the caller removes it */
export async function benchInstall(tell: Tell, folder: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const state of STATES) {
    const programs = await inNamespace(state, (pod) => recordPrograms(pod, [NODE, INSTALL], `${folder}/${state}`));
    const install: Start[] = [{ command: NODE, args: [INSTALL], input: '' }];
    const reference: Start[] = [{ command: NODE, args: ['-e', '0'], input: '' }, ...programs];
    const samples = { install: [] as number[], reference: [] as number[] };
    for (const round of rounds(ROUNDS, LEAST_ROUNDS, TIME, Date.now)) {
      tell(`install (${state}): round ${round + 1} of ${ROUNDS}`);
      const sample = async (which: 'install' | 'reference') =>
        samples[which].push(await timeInFresh(state, which === 'install' ? install : reference));
      for (const which of order(round)) await sample(which);
    }
    const name = `install, pod ${state} (${programs.length} programs)`;
    const [value, base] = [median(samples.install), median(samples.reference)];
    figures.push(makeFigure({ name, value, unit: 'ms', reference: base, goal: 'ratio <= 1.5' }));
  }
  return figures;
}

/** Each comes first in every other round. */
function order(round: number) {
  return round % 2 === 0 ? (['install', 'reference'] as const) : (['reference', 'install'] as const);
}

/** The sum of the programs' times, in milliseconds, in a namespace that nobody has used. */
async function timeInFresh(state: PodState, starts: Start[]): Promise<number> {
  const printed = await inNamespace(state, (pod) => pod.must(NODE, [TIMER], { input: JSON.stringify(starts) }));
  return (JSON.parse(printed) as number[]).reduce((sum, milliseconds) => sum + milliseconds, 0);
}

async function inNamespace<T>(state: PodState, body: (pod: Namespace) => Promise<T>): Promise<T> {
  const pod = await new Namespace('install').add();
  try {
    await prepare(pod, state);
    return await body(pod);
  } finally {
    await pod.remove();
  }
}
