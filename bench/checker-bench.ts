// The idle checker: its memory against a bare HTTP server, and its share of a core.
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CHECKER_PORT, IMAGE_ENVIRONMENT } from '../lib/contract.ts';
import { NetworkNamespace } from '../test/harness/netns/network-namespaces.ts';
import type { Program } from '../test/harness/netns/processes.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { readinessProbe } from '../webhook/admission/containers.ts';
import { prepare, SIDECAR } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { childrenOf, type Memory, readCpuSeconds, readMemory } from './proc-numbers.ts';
import { median } from './samples.ts';

const script = (name: string) => fileURLToPath(new URL(`inside/${name}`, import.meta.url));
/** Pods side by side: CPU times come in steps of 10 ms, and memory differs by a few percent from run to run. */
const PODS = 3;
const REQUESTS = 20;
const PAGES = ['/metrics', '/selfcheck'];
/** While xtables-monitor runs, a check comes every 30 s: two checks, wherever the window begins. */
const WINDOW_SECONDS = 60;
/** Until the start is over for good: after 10 s the checker gives back what it took. */
const SETTLE_SECONDS = 15;
const PROBE_SECONDS = readinessProbe('http', CHECKER_PORT, 'sidecar').periodSeconds;
const MB = 1e6;

interface Pod {
  namespace: NetworkNamespace;
  checker: Program;
  bare: Program;
  probes: Program;
}

/** On an error or interruption the caller ends the programs, by stopAll and removeAll. */
export async function benchChecker(tell: Tell): Promise<Figure[]> {
  tell('checker: starting');
  const pods = await Promise.all(Array.from({ length: PODS }, startPod));
  await idle(tell, SETTLE_SECONDS);
  const before = await cpuSeconds(pods);
  await idle(tell, WINDOW_SECONDS);
  const cpu = (await cpuSeconds(pods)) - before;
  const checker = await memoryOf(pods.map((pod) => pidOf(pod.checker)));
  const bare = await memoryOf(pods.map((pod) => pidOf(pod.bare)));
  const children = (await Promise.all(pods.map((pod) => childrenOf(pidOf(pod.checker))))).flat();
  const ofChildren = (await Promise.all(children.map(readMemory))).reduce((sum, one) => sum + one.private, 0) / PODS;
  await Promise.all(pods.map(stopPod));
  const memory = (name: string, value: number, reference?: number) => ({
    name: `checker, ${name}`,
    value: value / MB,
    unit: 'MB',
    ...(reference === undefined ? {} : { reference: reference / MB }),
  });
  return [
    makeFigure({ ...memory('anonymous memory', checker.anonymous, bare.anonymous), goal: 'ratio <= 1.3' }),
    makeFigure(memory('RSS', checker.rss, bare.rss)),
    makeFigure({
      ...memory('private memory with children', checker.private + ofChildren, bare.private),
      goal: 'value <= 11.5',
    }),
    makeFigure(memory(`private memory of its ${children.length / PODS} children`, ofChildren)),
    makeFigure({
      name: `checker, CPU of one core with children, a probe every ${PROBE_SECONDS} s`,
      value: (cpu / PODS / WINDOW_SECONDS) * 100,
      unit: '%',
      goal: 'value <= 0.08',
    }),
  ];
}

async function idle(tell: Tell, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    tell(`checker: idle for ${second} of ${seconds} s`);
    await wait(1000);
  }
}

/** A guarded pod with Istio's rules, and beside the checker a bare server that has answered as many requests. */
async function startPod(): Promise<Pod> {
  const namespace = await new NetworkNamespace('checker').add();
  await prepare(namespace, 'istio-nft');
  const env = { ...process.env, ...IMAGE_ENVIRONMENT };
  const checker = namespace.start(process.execPath, SIDECAR, { env });
  const barePort = String(CHECKER_PORT + 1);
  const bare = namespace.start(process.execPath, [script('bare-server.cjs'), barePort]);
  await Promise.all([checker.waitForOutput(/"event":"ready"/), bare.waitForOutput(/ready/)]);
  for (const port of [String(CHECKER_PORT), barePort]) {
    await namespace.must(process.execPath, [script('request-pages.ts'), port, String(REQUESTS), ...PAGES]);
  }
  const probes = namespace.start(process.execPath, [
    script('probe-ready.ts'),
    String(CHECKER_PORT),
    String(PROBE_SECONDS),
  ]);
  return { namespace, checker, bare, probes };
}

async function stopPod({ namespace, checker, bare, probes }: Pod): Promise<void> {
  await probes.stop();
  await Promise.all([checker.stop(), bare.stop()]);
  await namespace.remove();
}

/** nsenter becomes the program that it starts, so that its process is the program's. */
function pidOf({ child, output, errors }: Program): number {
  const { pid, exitCode, signalCode } = child;
  const runs = pid !== undefined && exitCode === null && signalCode === null;
  if (!runs) throw new Error(`a program ended (${exitCode ?? signalCode}): ${(output + errors).slice(-500)}`);
  return pid;
}

/** Of all pods together. */
async function cpuSeconds(pods: Pod[]): Promise<number> {
  const seconds = await Promise.all(pods.map(({ checker }) => readCpuSeconds(pidOf(checker))));
  return seconds.reduce((sum, one) => sum + one, 0);
}

/** Medians of the processes. */
async function memoryOf(pids: number[]): Promise<Memory> {
  const all = await Promise.all(pids.map(readMemory));
  const of = (key: keyof Memory) => median(all.map((memory) => memory[key]));
  return { rss: of('rss'), anonymous: of('anonymous'), private: of('private') };
}
