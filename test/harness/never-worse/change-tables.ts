// Changes one segment of each of many connections, with two nft tables in a namespace that they pass: the first notes
// the initial sequence numbers, the second changes the segments that are at the positions computed from them (nft
// writes constants only). In the gateway that is done after the pod has sent a segment, or before it gets it; segments
// on loopback are changed in the pod before conntrack sees them there, for a packet on lo keeps its connection from
// OUTPUT on.
import type { NetworkNamespace } from '../netns/network-namespaces.ts';
import type { ChangedExchange } from './changed-exchange.ts';
import { bytesOf, SCRIPTS } from './exchange-scripts.ts';

/** The namespace that changes segments, and those that it sees. */
export type ChangePoint = 'gateway' | 'pod';

/** A connection that is open, after its warm-up. */
export interface OpenExchange extends ChangedExchange {
  clientPort: number;
  serverPort: number;
}

/** Base chains that see each segment once. Changes come later than notes, and both before conntrack in the pod. */
const BASE_CHAINS = {
  gateway: [
    { hook: 'postrouting', match: 'oifname "eth0"' },
    { hook: 'prerouting', match: 'iifname "eth0"' },
  ],
  pod: [{ hook: 'output', match: 'oifname "lo"' }],
};

function baseChains(point: ChangePoint, priority: number, rule: string): string {
  const chains = BASE_CHAINS[point].map(
    ({ hook, match }) => `  chain ${hook} {
    type filter hook ${hook} priority ${priority}
    ${match} ${rule}
  }`,
  );
  return chains.join('\n');
}

/** A table in place of what may be there already. */
const replace = (name: string, body: string) =>
  `table inet ${name} {}\ndelete table inet ${name}\ntable inet ${name} {\n${body}\n}\n`;

const KEY = 'meta nfproto . tcp sport . tcp dport';
/** Room for the proxy's own connections on loopback too. */
const NOTED = 65_535;

/** Begins to note initial sequence numbers; what was noted and changed before is forgotten. */
export async function startToNote(namespace: NetworkNamespace, point: ChangePoint): Promise<void> {
  const set = `  set isns {
    typeof ${KEY} . tcp sequence
    flags dynamic
    size ${NOTED}
  }`;
  const chains = baseChains(point, -450, `tcp flags & syn == syn add @isns { ${KEY} . tcp sequence }`);
  const changes = 'table inet changes {}\ndelete table inet changes\n';
  await namespace.must('nft', ['-f', '-'], { input: `${changes}${replace('notes', `${set}\n${chains}`)}` });
}

interface NftListing {
  set?: { name: string; elem?: { concat: [family: string, from: number, to: number, isn: number] }[] };
  rule?: { chain: string; expr: { counter?: { packets: number } }[] };
}

async function list(namespace: NetworkNamespace, table: string): Promise<NftListing[]> {
  const printed = await namespace.must('nft', ['-j', 'list', 'table', 'inet', table]);
  return (JSON.parse(printed) as { nftables: NftListing[] }).nftables;
}

/** Changes one segment of each connection, from now on. */
export async function changeSegments(
  namespace: NetworkNamespace,
  point: ChangePoint,
  exchanges: OpenExchange[],
): Promise<void> {
  const noted = (await list(namespace, 'notes')).find(({ set }) => set)?.set?.elem ?? [];
  const isns = new Map(noted.map(({ concat: [family, from, to, isn] }) => [`${family} ${from} ${to}`, isn]));
  const isnOf = (family: string, from: number, to: number) => {
    const isn = isns.get(`${family} ${from} ${to}`);
    if (isn === undefined) throw new Error(`not noted: ${family}, from port ${from} to ${to}`);
    return isn;
  };
  const steps = exchanges.map((exchange) => {
    const { family, clientPort, serverPort } = exchange;
    return makeStep(exchange, isnOf(family, clientPort, serverPort), isnOf(family, serverPort, clientPort));
  });
  const elements = steps.map(({ key }, i) => `${key} : goto match${i}`).join(', ');
  const map = `  map steps {
    typeof ${KEY} : verdict
    ${elements && `elements = { ${elements} }`}
  }`;
  const chains = steps.flatMap(({ matches, rule }, i) => [
    `  chain step${i} {\n    ${rule}\n  }`,
    `  chain match${i} {\n${matches.map((match) => `    ${match} goto step${i}\n`).join('')}  }`,
  ]);
  const body = [...chains, map, baseChains(point, -440, `${KEY} vmap @steps`)].join('\n');
  await namespace.must('nft', ['-f', '-'], { input: replace('changes', body) });
}

interface Step {
  /** The direction, as a key of the map. */
  key: string;
  /** Any of these finds the segments, of which the rule changes so many. */
  matches: string[];
  rule: string;
}

/** @param clientIsn, serverIsn initial sequence numbers */
function makeStep(exchange: OpenExchange, clientIsn: number, serverIsn: number): Step {
  const { family, clientPort, serverPort, segment, change } = exchange;
  const { warmUp = [], changed = [0, 0] } = SCRIPTS[exchange.script] ?? {};
  const { sent, received } = bytesOf(warmUp);
  const isRequest = segment === 'request';
  const client = clientIsn + 1 + sent + (isRequest ? 0 : changed[0]);
  const server = serverIsn + 1 + received;
  const [sequence, acknowledgement] = isRequest ? [client, server] : [server, client];
  const isFromClient = change.repeated === undefined ? isRequest : !isRequest;
  const key = [family, ...(isFromClient ? [clientPort, serverPort] : [serverPort, clientPort])].join(' . ');
  if (change.repeated !== undefined) {
    // What comes back: acknowledgements of the segment, and data that goes with them.
    const matches = [`tcp sequence ${wrap(acknowledgement)}`];
    return { key, matches, rule: `${first(change.repeated)} counter drop` };
  }
  const { sequence: by, acknowledgement: byAck, flags, checksum } = change;
  const changes = [
    ...(by === undefined ? [] : [`tcp sequence set ${wrap(sequence + by)}`]),
    ...(byAck === undefined ? [] : [`tcp ackseq set ${wrap(acknowledgement + byAck)}`]),
    ...(flags === undefined ? [] : [`tcp flags set ${flags}`]),
    // The sum of the rest is added to it when the segment leaves: see withSoftwareChecksums.
    ...(checksum === undefined ? [] : ['tcp checksum set 0x1234']),
  ].join(' ');
  // A bare acknowledgement has the same sequence number. It is short, and the flag psh is not set.
  const matches = ['tcp flags & psh == psh', 'meta length > 200'].map(
    (data) => `tcp sequence ${wrap(sequence)} ${data}`,
  );
  return { key, matches, rule: `${first(1)} counter ${changes}` };
}

/** Matches so many times, and then no more. */
const first = (count: number) => `numgen inc mod 1000000 < ${count}`;

/** Sequence numbers have 32 bits. */
const wrap = (number: number) => number >>> 0;

/** How many segments of each connection were changed, in the order of changeSegments. */
export async function countChanged(namespace: NetworkNamespace): Promise<number[]> {
  const listed = await list(namespace, 'changes');
  const packets = new Map<number, number>();
  for (const { rule } of listed) {
    const [, step] = rule?.chain.match(/^step(\d+)$/) ?? [];
    const counter = rule?.expr.find(({ counter }) => counter)?.counter;
    if (step !== undefined && counter) packets.set(Number(step), counter.packets);
  }
  return Array.from({ length: packets.size }, (_, step) => packets.get(step) ?? 0);
}
