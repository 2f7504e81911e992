// Of the packets that a description fits, one that is not dropped, where some are and some are not: what the sender
// chose decides, such as a port. The packet that is found is evaluated by itself, so that it is certain to escape.
import { evaluate, type PathResult, type WorkBudget } from './evaluator.ts';
import { CHOSEN_FIELDS, type Domains, type Interval, isIn, toAddress, toBits } from './field-domain.ts';
import type { Ruleset } from './model.ts';
import { type Family, LOOPBACK, type Packet, TCP_FLAGS } from './packet.ts';
import { choicesOf } from './path.ts';

export interface Escape {
  packet: Packet;
  /** None of them is a drop. */
  results: PathResult[];
}

/** Packets that are evaluated; those of which least has to be chosen come first. */
const MAX_TRIES = 4;

/**
 * @param results of a packet that is known in part
 * @param counts which results count
 * @returns undefined where no packet is certain to escape
 */
export function findEscape(
  ruleset: Ruleset,
  packet: Packet,
  results: PathResult[],
  counts: (result: PathResult) => boolean,
  work?: WorkBudget,
): Escape | undefined {
  const choices = results.filter(escapes).flatMap(({ path }) => (path ? choicesOf(path) : []));
  const width = (domains: Domains) => Object.keys(domains).length;
  const candidates = choices
    .sort((a, b) => width(a) - width(b))
    .flatMap((chosen) => choose(packet, chosen) ?? [])
    .slice(0, MAX_TRIES);
  for (const candidate of candidates) {
    const found = evaluate(ruleset, candidate, { ...(work && { work }) }).filter(counts);
    if (found.length > 0 && found.every(escapes)) return { packet: candidate, results: found };
  }
  // Some choices are seen only once others are made.
  const closer = candidates.find((candidate) => !isSame(candidate, packet));
  return (
    closer &&
    findEscape(ruleset, closer, evaluate(ruleset, closer, { ...(work && { work }) }).filter(counts), counts, work)
  );
}

function escapes({ result }: PathResult): boolean {
  return result === 'passed' || result === 'reset';
}

function isSame(a: Packet, b: Packet): boolean {
  return CHOSEN_FIELDS.every((field) => a[field] === b[field]);
}

/** The packet with one value for each field that the path leaves only some; undefined where no sender could choose it. */
function choose(packet: Packet, chosen: Domains): Packet | undefined {
  const one = { ...packet };
  const { source, destination, sourcePort, destinationPort, flags } = chosen;
  const { family, iif, localAddresses = [] } = packet;
  if (source) {
    const from =
      iif === LOOPBACK
        ? localAddresses.find((address) => isIn(source, toBits(address)))
        : remoteAddress(source, family);
    if (from === undefined) return undefined;
    one.source = from;
  }
  if (destination) {
    const reachable = localAddresses.filter((address) => iif === LOOPBACK || !isLoopback(address));
    const to = reachable.find((address) => isIn(destination, toBits(address)));
    if (to === undefined) return undefined;
    one.destination = to;
  }
  for (const [name, domain] of [
    ['sourcePort', sourcePort],
    ['destinationPort', destinationPort],
  ] as const) {
    const port = domain && firstFrom(domain, 1n);
    if (domain && port === undefined) return undefined;
    if (port !== undefined) one[name] = Number(port);
  }
  if (flags) {
    const bits = FLAGS.find((some) => isIn(flags, some));
    if (bits === undefined) return undefined;
    one.flags = Number(bits);
  }
  return one;
}

/** Of segments with data. */
const FLAGS = [['ACK'], ['PSH', 'ACK']].map((names) =>
  names.reduce((bits, name) => bits | BigInt(TCP_FLAGS[name] ?? 0), 0n),
);

const isLoopback = (address: string) => address.startsWith('127.') || address === '::1';

function firstFrom(domain: readonly Interval[], least: bigint): bigint | undefined {
  const found = domain.find(([, to]) => to >= least);
  return found && (found[0] > least ? found[0] : least);
}

/** An address that a packet from another host can have: not of this host, not to many, not none. */
function remoteAddress(domain: readonly Interval[], family: Family): string | undefined {
  const allowed =
    family === 'ipv4' ? ['1.0.0.0', '126.255.255.255', '128.0.0.0', '223.255.255.255'] : ['::2', 'feff::'];
  for (let i = 0; i < allowed.length; i += 2) {
    const [least, most] = [toBits(allowed[i] ?? ''), toBits(allowed[i + 1] ?? '')];
    const first = firstFrom(domain, least);
    if (first !== undefined && first <= most) return toAddress(first, family);
  }
  return undefined;
}

/** Which packet it is, by what had to be chosen for it, such as `to port 9000 from 10.0.0.1`. */
export function describeChoice(packet: Packet, { packet: chosen }: Escape): string {
  const parts: [field: (typeof CHOSEN_FIELDS)[number], words: string][] = [
    ['destinationPort', 'to port'],
    ['destination', 'at'],
    ['sourcePort', 'from port'],
    ['source', 'from'],
  ];
  return parts
    .flatMap(([field, words]) => (chosen[field] === packet[field] ? [] : [`${words} ${chosen[field]}`]))
    .join(' ');
}
