// What goes before every rule that drops INVALID packets: segments of sockets of this namespace are let pass, and the
// connections of all stray segments are noted. An nft table of its own; without `nft_socket` a rule of iptables.
import type { LocalSockets } from './local-sockets.ts';
import type { Ruleset } from './model.ts';
import {
  ALARM_QUOTA,
  ANSWER_SETS,
  EXEMPTION_TABLE,
  LISTENER_SETS,
  REDIRECTED_SET,
  STRAY_SETS,
} from './nft-statement.ts';
import { endpointOf, FAMILIES, type Family, type PortRange } from './packet.ts';

/** Connections that are noted at one time; elements of which no packet comes are removed after NOTED_SECONDS. */
export const MAX_NOTED = 1024;
const NOTED_SECONDS = 60;
/** Listeners on specific addresses that are told apart. */
export const MAX_LISTENERS = 1024;
/** Ports that connections are redirected to: a mesh has two. */
const MAX_REDIRECTED = 64;
/** After conntrack (-200), and before mangle (-150) and all rules that users and meshes write. */
const PRIORITY = -190;

/** The chains that have to do with the pod's own segments. */
export const ANSWER_CHAINS = ['input', 'answer', 'output'];
/** The chain that raises the alarm for stray segments. */
export const ALARM_CHAIN = 'stray';
/** Marks the rule of iptables as ours. */
export const EXEMPTION_COMMENT = 'invalid-drop: own sockets';

const ADDRESS_TYPE: Record<Family, string> = { ipv4: 'ipv4_addr', ipv6: 'ipv6_addr' };
const HEADER: Record<Family, string> = { ipv4: 'ip', ipv6: 'ip6' };

/** The sets of the family: of its stray segments, of the pod's own, and of its listeners. */
export function setsOf(family: Family): { strays: string; answers: string; listeners: string } {
  const at = FAMILIES.indexOf(family);
  return { strays: STRAY_SETS[at] ?? '', answers: ANSWER_SETS[at] ?? '', listeners: LISTENER_SETS[at] ?? '' };
}

/**
 * The table as commands for nft, in place of one that is there.
 *
 * A segment with a socket of its own becomes UNTRACKED (nft_notrack_eval, net/netfilter/nft_ct.c), so that no rule
 * against INVALID packets matches it, whoever wrote the rule. `socket wildcard 0` also finds a listener that is bound to
 * a specific address, which would answer with a reset: the first packet of each connection, which meets no other
 * socket, tells which those are. Nor is a segment spared that arrives at a port that connections are redirected to: it
 * lacks their NAT. The pod's own INVALID segments lack it too, and leave from that port: a peer would answer them with a
 * reset, so that they are noted and dropped, and TCP sends them again.
 *
 * A named quota is the alarm: the kernel reports the first packet that is over it, to whoever monitors the ruleset, and
 * no other until it is reset (nft_quota_obj_eval, net/netfilter/nft_quota.c). It comes after the notes, so that who
 * hears it finds them.
 * @param form.socket false where this kernel or nft lacks `socket wildcard` (before Linux 5.10): connections are noted only
 * @param form.alarm false where this kernel lacks quotas
 */
export function exemptionTable(
  { listeners }: LocalSockets,
  { socket: withSocket, alarm: withAlarm } = { socket: true, alarm: true },
): string {
  const sets = FAMILIES.flatMap((family) => {
    const { strays, answers, listeners: name } = setsOf(family);
    const endpoint = `${ADDRESS_TYPE[family]} . inet_service`;
    const elements = listeners[family].slice(0, MAX_LISTENERS).map(({ address, port }) => `${address} . ${port}`);
    const noted = `type ${endpoint} . ${endpoint}; size ${MAX_NOTED}; flags dynamic,timeout; counter; timeout ${NOTED_SECONDS}s;`;
    return [
      `set ${strays} { ${noted} }`,
      `set ${answers} { ${noted} }`,
      `set ${name} { type ${endpoint}; size ${MAX_LISTENERS}; flags dynamic; ${elements.length > 0 ? `elements = { ${elements.join(', ')} }; ` : ''}}`,
    ];
  });
  const each = (rule: (header: string, sets: ReturnType<typeof setsOf>) => string) =>
    FAMILIES.map((family) => rule(HEADER[family], setsOf(family)));
  const learn = each((ip, { listeners: name }) => `socket wildcard 0 add @${name} { ${ip} daddr . tcp dport }`);
  const tuple = (ip: string) => `{ ${ip} saddr . tcp sport . ${ip} daddr . tcp dport }`;
  const note = each((ip, { strays }) => `update @${strays} ${tuple(ip)}`);
  const noteAnswer = each((ip, { answers }) => `update @${answers} ${tuple(ip)}`);
  const alarm = withAlarm ? [`quota name "${ALARM_QUOTA}"`] : [];
  const keep = each((ip, { listeners: name }) => `${ip} daddr . tcp dport @${name} return`);
  return [
    `add table ${EXEMPTION_TABLE}`,
    `delete table ${EXEMPTION_TABLE}`,
    `table ${EXEMPTION_TABLE} {`,
    ...sets,
    `set ${REDIRECTED_SET} { type inet_service; size ${MAX_REDIRECTED}; flags dynamic; }`,
    ...(withAlarm ? [`quota ${ALARM_QUOTA} { over 1 bytes }`] : []),
    'chain learn {',
    ...(withSocket ? learn : []),
    '}',
    'chain stray {',
    'counter',
    ...note,
    ...alarm,
    ...(withSocket ? [...keep, `tcp dport @${REDIRECTED_SET} return`, 'socket wildcard 0 counter notrack'] : []),
    '}',
    'chain prerouting {',
    `type filter hook prerouting priority ${PRIORITY}; policy accept;`,
    'ct state invalid meta l4proto tcp jump stray',
    ...(withSocket ? ['ct state new tcp flags & (syn | ack) == syn jump learn'] : []),
    '}',
    'chain input {',
    `type filter hook input priority ${PRIORITY}; policy accept;`,
    `ct state new ct status dnat tcp flags & (syn | ack) == syn add @${REDIRECTED_SET} { tcp dport }`,
    '}',
    'chain answer {',
    ...noteAnswer,
    ...alarm,
    'counter drop',
    '}',
    'chain output {',
    `type filter hook output priority ${PRIORITY}; policy accept;`,
    `ct state invalid tcp sport @${REDIRECTED_SET} jump answer`,
    '}',
    '}',
    '',
  ].join('\n');
}

/**
 * The rule of iptables that stands in for the table's, without `-A CHAIN`. It spares connections that the pod opened:
 * their local ports are in ip_local_port_range, which listeners seldom are in.
 * @returns undefined where listeners on specific addresses leave no port
 */
export function exemptionRule(family: Family, { listeners, ephemeralPorts }: LocalSockets): string | undefined {
  const ranges = portsWithout(
    ephemeralPorts,
    listeners[family].map(({ port }) => port),
  );
  // Of a multiport match (xt_multiport, XT_MULTI_PORTS); a range counts twice. iptables refuses a range of one port.
  const listed = ranges.slice(0, 7).map(({ from, to }) => (from === to ? from : `${from}:${to}`));
  if (listed.length === 0) return undefined;
  return `-p tcp -m conntrack --ctstate INVALID -m socket -m multiport --dports ${listed.join(',')} -m comment --comment "${EXEMPTION_COMMENT}" -j ACCEPT`;
}

function portsWithout({ from, to }: PortRange, ports: number[]): PortRange[] {
  const inside = [...new Set(ports)].filter((port) => port >= from && port <= to).sort((a, b) => a - b);
  const starts = [from, ...inside.map((port) => port + 1)];
  const ends = [...inside.map((port) => port - 1), to];
  return starts.flatMap((start, i) => {
    const end = ends[i] ?? to;
    return start <= end ? [{ from: start, to: end }] : [];
  });
}

/** Listeners on specific addresses that the table in the ruleset does not list; none where there is no such table. */
export function unlistedListeners(ruleset: Ruleset, { listeners }: LocalSockets): string[] {
  const table = ruleset.find((one) => one.backend === 'nft' && EXEMPTION_TABLE === `${one.family} ${one.name}`);
  const chain = table?.chains.get('stray');
  return FAMILIES.flatMap((family) => {
    const listed = chain?.rules
      .flatMap(({ steps }) => steps)
      .flatMap((step) => ('when' in step && 'listeners' in step.when ? [step.when.listeners] : []))[
      FAMILIES.indexOf(family)
    ];
    if (!listed) return [];
    const missing = listeners[family].filter(({ address, port }) => !listed.has(endpointOf(address, port)));
    const room = Math.max(0, MAX_LISTENERS - listed.size);
    return missing
      .slice(0, room)
      .map(
        ({ address, port }) => `add element ${EXEMPTION_TABLE} ${setsOf(family).listeners} { ${address} . ${port} }`,
      );
  });
}
