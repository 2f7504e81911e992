// One backend and one family: uploads with stray segments with no rule, with the rule, and after somebody took it away.
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../init-image/contract.ts';
import { CHAIN, RULE, TABLE } from '../../init-image/rule.ts';
import type { Family } from '../../init-image/ruleset/model.ts';
import { type ContainerSpec, startContainer } from '../kernel/container.ts';
import { startMesh, upload } from '../kernel/mesh.ts';
import { addPair, type Pair } from '../kernel/namespaces.ts';
import type { Program } from '../kernel/processes.ts';
import { countStrays, startStrays } from '../kernel/stray.ts';
import type { AdmittedPod } from './admission.ts';

export type Backend = 'nft' | 'legacy';

/** One row of the demo's table. */
export interface Row {
  backend: Backend;
  family: Family;
  phase: 'no rule' | 'with the rule' | 'rule removed by hand';
  uploads: number;
  resets: number;
  /** Median of the uploads that passed, in MB/s; undefined where none did. */
  throughput: number | undefined;
  /** Segments that were pushed out of the window, and packets that the rule dropped. */
  strays: number;
  dropped: number;
  checker: string;
  ok: boolean;
}

const BYTES = 300_000_000;
const EVERY = 500;
const COUNTS = { 'no rule': 3, 'with the rule': 6, 'rule removed by hand': 3 };
/** The schedule is 10 s; legacy tables send no events. */
const REPAIR_LIMIT = 60_000;

/** Runs the three phases in a fresh pair of namespaces. `tell` gets a line of progress. */
export async function runScenario(
  pod: AdmittedPod,
  backend: Backend,
  family: Family,
  tell: (text: string) => void,
): Promise<Row[]> {
  const pair = await addPair();
  const programs: Program[] = [];
  try {
    programs.push(...(await startMesh(pair, backend)));
    await startStrays(pair.gateway, EVERY);
    const phase = (name: Row['phase'], checker: string) =>
      runPhase(pair, { backend, family, phase: name, checker }, tell);

    const bare = await phase('no rule', '');
    const installed = await runInit(pair, pod, backend);
    const checker = startContainer(pair.pod, containerOf(pod, CHECKER_CONTAINER));
    programs.push(checker);
    await checker.saw(/"event":"ready"/);
    const guarded = await phase('with the rule', `${installed}, ready`);
    tell(`${backend} ${family}: rule removed by hand, waiting for the checker`);
    const repaired = await removeAndWait(pair, checker, backend, family);
    const again = await phase('rule removed by hand', repaired);
    return [bare, guarded, again];
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    await pair.remove();
  }
}

function containerOf(pod: AdmittedPod, name: string): ContainerSpec {
  const container = pod.spec.initContainers.find((one) => one.name === name);
  if (!container) throw new Error(`the admitted pod has no container ${name}`);
  return container;
}

async function runInit({ pod: namespace }: Pair, pod: AdmittedPod, backend: Backend): Promise<string> {
  const { exitCode, stdout, stderr } = await startContainer(namespace, containerOf(pod, INIT_CONTAINER)).end();
  if (exitCode !== 0) throw new Error(`the init container ended with ${exitCode}: ${stdout}${stderr}`);
  return `installed (${[...new Set(stdout.match(/"backend":"\w+"/g))].join().replaceAll(/"backend":|"/g, '') || backend})`;
}

/** Takes the rule away as somebody at a shell would, and waits for what the checker says of it. */
async function removeAndWait({ pod }: Pair, checker: Program, backend: Backend, family: Family): Promise<string> {
  const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`;
  await pod.must(program, ['-t', TABLE, '-D', CHAIN, ...RULE.tcp.split(' ')]);
  await checker.saw(/"event":"repaired"[\s\S]*"event":"ready"/, REPAIR_LIMIT);
  const lines = checker.output.split('\n').filter((line) => line !== '');
  const events = lines.map((line) => JSON.parse(line) as { time: string; event: string; by?: { process: string }[] });
  const at = (event: string) => Date.parse(events.findLast((one) => one.event === event)?.time ?? '');
  const by = events.find(({ event }) => event === 'drift')?.by?.map(({ process }) => process) ?? [];
  const lost = at('ready') - at('not-ready');
  return `drift seen${by.length > 0 ? ` (by ${by.join()})` : ''}, not ready ${lost} ms, repaired`;
}

async function runPhase(
  pair: Pair,
  known: Pick<Row, 'backend' | 'family' | 'phase' | 'checker'>,
  tell: (text: string) => void,
) {
  const count = COUNTS[known.phase];
  const [strays, dropped] = [await countStrays(pair.gateway), await countDropped(pair, known)];
  let done = 0;
  let resets = 0;
  const uploads = await upload(pair, known.family, BYTES, count, ({ ok }) => {
    done++;
    if (!ok) resets++;
    tell(`${known.backend} ${known.family}, ${known.phase}: upload ${done} of ${count}, ${resets} reset`);
  });
  const expected = known.phase === 'no rule' ? count : 0;
  return {
    ...known,
    uploads: count,
    resets,
    throughput: median(uploads.filter(({ ok }) => ok).map(({ seconds }) => BYTES / 1e6 / seconds)),
    strays: (await countStrays(pair.gateway)) - strays,
    dropped: (await countDropped(pair, known)) - dropped,
    ok: resets === expected,
  };
}

/** The counter of the rule itself; 0 where there is none. */
async function countDropped({ pod }: Pair, { backend, family }: Pick<Row, 'backend' | 'family'>): Promise<number> {
  const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save`;
  const saved = await pod.must(program, ['-c']);
  return Number(saved.match(/\[(\d+):\d+\] -A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP/)?.[1] ?? 0);
}

function median(numbers: number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
