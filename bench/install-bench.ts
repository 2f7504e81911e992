// The first install as part of the start of the checker, until it says that the pod is guarded, against a bare Node and the
// netfilter programs that it runs, each alone.

import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SIDECAR_COMMAND } from '../lib/contract.ts';
import { NetworkNamespace } from '../test/harness/netns/network-namespaces.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { CHECK, type PodState, prepare } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { median, rounds } from './samples.ts';

const STATES: PodState[] = ['empty', 'istio-nft', 'istio-legacy'];
const ROUNDS = 20;
const LEAST_ROUNDS = 5;
/** Seconds for one state. */
const TIME = 15;
const TIMER = fileURLToPath(new URL('inside/time-programs.ts', import.meta.url));
const NODE = process.execPath;
/** As the container has it, without the program's name. */
const SIDECAR = SIDECAR_COMMAND.slice(1).map((word) => (word.endsWith('/check.js') ? CHECK : word));
const READY = '"event":"ready"';

/** @param folder for what is recorded; the caller removes it */
export async function benchInstall(tell: Tell, folder: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const state of STATES) {
    const programs = await inNamespace(state, (pod) => recordPrograms(pod, [NODE, ...SIDECAR], `${folder}/${state}`));
    const install: ProgramStart[] = [{ command: NODE, args: SIDECAR, input: '', until: READY }];
    const reference: ProgramStart[] = [{ command: NODE, args: ['-e', '0'], input: '' }, ...programs];
    const samples = { install: [] as number[], reference: [] as number[] };
    for (const round of rounds(ROUNDS, LEAST_ROUNDS, TIME, Date.now)) {
      tell(`install (${state}): round ${round + 1} of ${ROUNDS}`);
      const sample = async (which: 'install' | 'reference') =>
        samples[which].push(await timeInFresh(state, which === 'install' ? install : reference));
      for (const which of order(round)) await sample(which);
    }
    const name = `start with install, pod ${state} (${programs.length} programs)`;
    const [value, base] = [median(samples.install), median(samples.reference)];
    figures.push(makeFigure({ name, value, unit: 'ms', reference: base, goal: 'ratio <= 1.3' }));
  }
  return figures;
}

/** Each comes first in every other round. */
function order(round: number) {
  return round % 2 === 0 ? (['install', 'reference'] as const) : (['reference', 'install'] as const);
}

/** The sum of the programs' times, in milliseconds, in a fresh namespace. */
async function timeInFresh(state: PodState, starts: ProgramStart[]): Promise<number> {
  const printed = await inNamespace(state, (pod) => pod.must(NODE, [TIMER], { input: JSON.stringify(starts) }));
  return (JSON.parse(printed) as number[]).reduce((sum, milliseconds) => sum + milliseconds, 0);
}

async function inNamespace<T>(state: PodState, body: (pod: NetworkNamespace) => Promise<T>): Promise<T> {
  const pod = await new NetworkNamespace('install').add();
  try {
    await prepare(pod, state);
    return await body(pod);
  } finally {
    await pod.remove();
  }
}

/** One program to start, with what it reads on standard input. */
export interface ProgramStart {
  command: string;
  args: string[];
  input: string;
  /** Text on its standard output at which it counts as done: it stays, and is told to end then. */
  until?: string;
}

const NETFILTER = /^(nft|(ip6?|x|eb|arp)tables.*)$/;

/** Records name, arguments and input of each start, then runs the real program. One that stays is not recorded. */
const STAND_IN = `#!/bin/sh
name="\${0##*/}"
PATH="$REAL_PATH"
case "$name $1" in "nft monitor" | xtables-monitor*) exec "$name" "$@" ;; esac
record="$RECORDS/$(date +%s%N)-$$"
printf '%s\\0' "$name" "$@" > "$record.args"
tee "$record.input" | "$name" "$@"
`;

/**
 * Runs the command in the namespace until it says that the pod is guarded.
 * @param folder an empty folder for the stand-ins and the records
 * @returns the netfilter programs that it ran, in the order of their starts
 */
export async function recordPrograms(
  namespace: NetworkNamespace,
  command: [string, ...string[]],
  folder: string,
): Promise<ProgramStart[]> {
  const [bin, records] = [`${folder}/bin`, `${folder}/records`];
  await Promise.all([bin, records].map((path) => mkdir(path, { recursive: true })));
  const realPath = process.env['PATH'] ?? '';
  for (const name of await installed(realPath)) {
    await writeFile(`${bin}/${name}`, STAND_IN);
    await chmod(`${bin}/${name}`, 0o755);
  }
  const env = { ...process.env, PATH: `${bin}:${realPath}`, REAL_PATH: realPath, RECORDS: records };
  const [program, ...args] = command;
  const running = namespace.start(program, args, { env });
  await running.waitForOutput(new RegExp(READY));
  await running.stop('SIGTERM');
  const names = (await readdir(records)).filter((name) => name.endsWith('.args')).sort();
  return Promise.all(names.map((name) => readStart(`${records}/${name.slice(0, -'.args'.length)}`)));
}

async function readStart(record: string): Promise<ProgramStart> {
  const [text, input] = await Promise.all([readFile(`${record}.args`, 'utf8'), readFile(`${record}.input`, 'utf8')]);
  const [command = '', ...args] = text.split('\0').slice(0, -1);
  return { command, args, input };
}

async function installed(path: string): Promise<string[]> {
  const lists = await Promise.all(path.split(':').map((folder) => readdir(folder).catch(() => [])));
  return [...new Set(lists.flat())].filter((name) => NETFILTER.test(name));
}
