import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import {
  aim,
  countHits,
  readPosition,
  sawInvalid,
  startNotes,
  startWatch,
  withSoftwareChecksums,
} from '../harness/netns/aim.ts';
import { ADDRESS, type Namespace, type Pair } from '../harness/netns/namespaces.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { patient } from '../harness/netns/processes.ts';
import { startMesh } from '../harness/netns/redirected-upload.ts';
import { type Fate, fateOf, type Outcome, STRAY_KINDS, type StrayKind } from '../harness/netns/stray-kinds.ts';

const KEEP = fileURLToPath(new URL('../harness/traffic/keep.ts', import.meta.url));
/** Milliseconds after which a connection counts as stuck: many times what TCP waits before it sends again. */
const STUCK = patient(4000);
const DEFAULTS = { be_liberal: 0, loose: 1 };

type Ask = (line: string, limit?: number) => Promise<string>;

/** Starts the client. What comes back takes it a line and waits for the answer; what comes unasked is passed over. */
function startClient(gateway: Namespace): Ask {
  const client = gateway.start(process.execPath, [KEEP, ADDRESS.pod.ipv4]);
  let asked = 0;
  return async (line, limit) => {
    asked++;
    client.child.stdin?.write(`${line}\n`);
    const [, answer = ''] = await client.saw(new RegExp(`^${asked} (.*)\n`, 'm'), limit);
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
  // What follows the segment may suffer more than the segment itself.
  const answer = first.startsWith('answered') ? await ask('send', STUCK).catch(() => 'nothing') : first;
  if ((await countHits(gateway)) !== 1) throw new Error('no segment was changed');
  return { outcome: outcomeOf(answer), invalid: await sawInvalid(pod, Number(port)) };
}

function outcomeOf(answer: string): Outcome {
  if (answer.startsWith('answered')) return 'fine';
  return /^lost (ECONNRESET|EPIPE)/.test(answer) ? 'reset' : 'stuck';
}

async function observe(pair: Pair, ask: Ask, kind: StrayKind): Promise<Fate> {
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

kernelTest('each kind of stray segment does what is known of this kernel', async (t, pair) => {
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
