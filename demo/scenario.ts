// One backend and one family: uploads with stray segments without the rule, with the whole cure, and after the rule was
// deleted by hand.

import type { Backend } from '../lib/netfilter/model.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import { addPair, type Pair } from '../test/harness/netns/network-namespaces.ts';
import type { Program } from '../test/harness/netns/processes.ts';
import { startMesh, upload } from '../test/harness/netns/redirected-upload.ts';
import { countStrays, startStrays } from '../test/harness/netns/stray-segments.ts';
import { EXCLUDE_INBOUND_PORTS } from '../webhook/admission/inbound-exemption.ts';
import type { AdmittedPod } from './demo-admission.ts';
import { removeByHand, startOurs } from './demo-containers.ts';
import { type DemoPhase, type DemoRow, isAsExpected } from './demo-table.ts';

type Known = Pick<DemoRow, 'backend' | 'family' | 'phase' | 'checker' | 'proven'>;

/**
 * Size of one upload, which of its segments are pushed out of the window (every Nth), and how many uploads there are.
 */
export interface DemoLoad {
  /** Connections of each kind that exchange small requests. */
  connections: number;
  bytes: number;
  every: number;
  counts: Record<DemoPhase, number>;
}
export const LOAD: DemoLoad = {
  connections: 20,
  bytes: 300_000_000,
  every: 500,
  counts: { 'no rule': 3, 'whole cure': 6, 'rule removed by hand': 3 },
};
/** For a machine that is emulated. */
export const SHORT_LOAD: DemoLoad = {
  connections: 4,
  bytes: 20_000_000,
  every: 50,
  counts: { 'no rule': 1, 'whole cure': 2, 'rule removed by hand': 1 },
};
const RESETS = ['ECONNRESET', 'EPIPE'];

/** Runs the three phases in a fresh pair of namespaces. `tell` gets a line of progress. */
export async function runScenario(
  pod: AdmittedPod,
  backend: Backend,
  family: Family,
  load: DemoLoad,
  tell: (text: string) => void,
): Promise<DemoRow[]> {
  const pair = await addPair();
  const programs: Program[] = [];
  try {
    programs.push(...(await startMesh(pair, backend, pod.metadata.annotations[EXCLUDE_INBOUND_PORTS])));
    await startStrays(pair.gateway, load.every);
    const phase = async (name: DemoPhase, checker: string, proven: boolean) => {
      const row = await runPhase(pair, { backend, family, phase: name, checker, proven }, load, tell);
      requireAlive(programs);
      return row;
    };

    const bare = await phase('no rule', '', true);
    const { container, told } = await startOurs(pair, pod, backend);
    programs.push(container);
    const guarded = await phase('whole cure', `${told.text}, ready`, told.proven);
    tell(`${backend} ${family}: rule removed by hand, waiting for the checker`);
    const repaired = await removeByHand(pair, container, backend, family);
    const again = await phase('rule removed by hand', repaired.text, repaired.proven);
    return [bare, guarded, again];
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    await pair.remove();
  }
}

/** Where the application has ended, its connections are reset too, which would prove nothing. */
function requireAlive(programs: Program[]): void {
  const gone = programs.find(({ closed }) => closed);
  if (gone) throw new Error(`a program ended early: ${gone.child.spawnargs.join(' ')}: ${gone.errors}`);
}

async function runPhase(
  pair: Pair,
  known: Known,
  { bytes, counts }: DemoLoad,
  tell: (text: string) => void,
): Promise<DemoRow> {
  const count = counts[known.phase];
  const [strays, dropped] = [await countStrays(pair.gateway), await countDropped(pair, known)];
  let done = 0;
  let resets = 0;
  const uploads = await upload(pair, known.family, bytes, count, ({ error }) => {
    done++;
    if (RESETS.includes(error ?? '')) resets++;
    tell(`${known.backend} ${known.family}, ${known.phase}: upload ${done} of ${count}, ${resets} reset`);
  });
  const passed = uploads.filter(({ ok }) => ok);
  const seen = {
    ...known,
    uploads: count,
    resets,
    passed: passed.length,
    throughput: median(passed.map(({ seconds }) => bytes / 1e6 / seconds)),
    strays: (await countStrays(pair.gateway)) - strays,
    dropped: (await countDropped(pair, known)) - dropped,
  };
  return { ...seen, ok: isAsExpected(seen) };
}

/** The counter of the rule itself; 0 where there is none. */
async function countDropped({ pod }: Pair, { backend, family }: Pick<DemoRow, 'backend' | 'family'>): Promise<number> {
  const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save`;
  const saved = await pod.must(program, ['-c']);
  return Number(saved.match(/\[(\d+):\d+\] -A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP/)?.[1] ?? 0);
}

function median(numbers: number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
