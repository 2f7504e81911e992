import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { startMesh } from '../harness/netns/redirected-upload.ts';
import {
  type ConnectionFate,
  fateOf,
  STRAY_KINDS,
  type StrayFate,
  type StrayKind,
} from '../harness/netns/stray-kinds.ts';
import {
  aim,
  countHits,
  readPosition,
  sawInvalid,
  startNotes,
  startWatch,
  withSoftwareChecksums,
} from '../harness/netns/stray-segments.ts';

const KEEP = fileURLToPath(new URL('../harness/traffic/kept-connection.ts', import.meta.url));
/** Milliseconds after which a connection counts as stuck: many times what TCP waits before it sends again. */
const STUCK = patient(4000);
const DEFAULTS = { be_liberal: 0, loose: 1 };

type Ask = (line: string, limit?: number) => Promise<string>;

/** Starts the client. @returns a function that sends it a line and waits for the answer; other lines are ignored */
function startClient(gateway: NetworkNamespace): Ask {
  const client = gateway.start(process.execPath, [KEEP, ADDRESS.pod.ipv4]);
  let asked = 0;
  return async (line, limit) => {
    asked++;
    client.child.stdin?.write(`${line}\n`);
    const [, answer = ''] = await client.waitForOutput(new RegExp(`^${asked} (.*)\n`, 'm'), limit);
    return answer;
  };
}

/** One connection, one stray segment. */
async function strayOnce({ pod, gateway }: Pair, ask: Ask, { change, forgotten }: StrayKind) {
  await startNotes(gateway);
  const [, port = ''] = (await ask('open')).split(' ');
  let [, sent = '', received = ''] = (await ask('send')).split(' ');
  if (forgotten) await pod.must('conntrack', ['--flush']);
  if (forgotten && change) [, sent = '', received = ''] = (await ask('send')).split(' ');
  const position = await readPosition(gateway, Number(sent), Number(received));
  await aim(gateway, Number(port), position, change);
  const first = await ask('send', STUCK).catch(() => 'nothing');
  // Later segments may be hit harder than the changed one.
  const answer = first.startsWith('answered') ? await ask('send', STUCK).catch(() => 'nothing') : first;
  if ((await countHits(gateway)) !== 1) throw new Error('no segment was changed');
  return { outcome: outcomeOf(answer), invalid: await sawInvalid(pod, Number(port)) };
}

function outcomeOf(answer: string): ConnectionFate {
  if (answer.startsWith('answered')) return 'fine';
  return /^lost (ECONNRESET|EPIPE)/.test(answer) ? 'reset' : 'stuck';
}

async function observe(pair: Pair, ask: Ask, kind: StrayKind): Promise<StrayFate> {
  const { pod } = pair;
  for (const [name, value] of Object.entries({ ...DEFAULTS, ...kind.sysctls })) {
    await pod.must('sh', ['-c', `echo ${value} > /proc/sys/net/netfilter/nf_conntrack_tcp_${name}`]);
  }
  const rule = (command: string) =>
    pod.must('iptables-nft', ['-t', 'mangle', command, 'PREROUTING', ...RULE.tcp.split(' ')]);
  const unguarded = await strayOnce(pair, ask, kind);
  await rule('-I');
  const guarded = await strayOnce(pair, ask, kind);
  await rule('-D');
  if (unguarded.invalid !== guarded.invalid) throw new Error(`${kind.name}: INVALID only once in two times`);
  return [unguarded.invalid ? 'INVALID' : 'valid', unguarded.outcome, guarded.outcome];
}

kernelTest('each kind of stray segment has the result that is known for this kernel', async (t, pair) => {
  const { pod, gateway } = pair;
  await startMesh(pair, 'nft');
  await withSoftwareChecksums(gateway);
  await startWatch(pod);
  const ask = startClient(gateway);
  for (const kind of STRAY_KINDS) {
    const fate = await observe(pair, ask, kind);
    // For the table in docs/kernels.md.
    t.comment(`observed ${JSON.stringify({ kind: kind.name, fate })}`);
    t.same(fate, fateOf(kind, release()), kind.name);
  }
});
