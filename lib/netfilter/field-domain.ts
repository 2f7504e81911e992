// Which values the sender of a packet may have chosen for its fields, where the packet as it is described leaves them
// open: along a path through a ruleset, each condition on such a field leaves fewer.
import {
  type Comparison,
  type Family,
  familyOf,
  type Packet,
  type PortRange,
  TCP_FLAGS,
  type Value,
} from './packet.ts';

/** Fields of which a rule may tell packets apart that have the same description. */
export const CHOSEN_FIELDS = ['source', 'destination', 'sourcePort', 'destinationPort', 'flags'] as const;
export type ChosenField = (typeof CHOSEN_FIELDS)[number];

/** Both ends included. */
export type Interval = readonly [from: bigint, to: bigint];
/** In order, without overlaps. */
export type Domain = readonly Interval[];
/** A field that is left out may have every value. */
export type Domains = Partial<Record<ChosenField, Domain>>;

/** Domains of more intervals are taken for wider than they are. */
const MAX_INTERVALS = 256;

const PORTS: Domain = [[0n, 65_535n]];
/** All flags but RST: a packet of which they are not known is taken for a segment without it. */
const FLAGS: Domain = Array.from({ length: 256 }, (_, bits): Interval => [BigInt(bits), BigInt(bits)]).filter(
  ([bits]) => (Number(bits) & (TCP_FLAGS['RST'] ?? 0)) === 0,
);

export function isChosen(field: Comparison['field']): field is ChosenField {
  return CHOSEN_FIELDS.some((chosen) => chosen === field);
}

function domainOf(packet: Packet, domains: Domains, field: ChosenField): Domain {
  return domains[field] ?? fullDomain(packet, field);
}

/** All values that the field of such a packet may have. */
export function fullDomain(packet: Packet, field: ChosenField): Domain {
  const known = packet[field];
  if (field === 'flags') return FLAGS;
  if (field === 'source' || field === 'destination')
    return [[0n, packet.family === 'ipv4' ? 2n ** 32n - 1n : 2n ** 128n - 1n]];
  return typeof known === 'object' ? [toInterval(known)] : PORTS;
}

const toInterval = ({ from, to }: PortRange): Interval => [BigInt(from), BigInt(to)];

/**
 * Divides the packets of a path by a condition on a field that its sender chose.
 * @returns the domains of those that meet it and of those that do not; undefined where there are none of them, and
 *   undefined for both where the condition is not understood
 */
export function divide(
  packet: Packet,
  domains: Domains,
  { field, mask, oneOf, negate }: Comparison & { field: ChosenField },
): { met: Domains | undefined; unmet: Domains | undefined } | undefined {
  const whole = domainOf(packet, domains, field);
  const inside =
    field === 'flags'
      ? withFlags(whole, mask ?? 255, oneOf)
      : mask === undefined
        ? inValues(whole, oneOf, packet.family)
        : undefined;
  if (!inside) return undefined;
  const narrowed = (domain: Domain) => {
    if (domain.length === 0) return undefined;
    return domain.length > MAX_INTERVALS ? domains : { ...domains, [field]: domain };
  };
  const [some, others] = [narrowed(inside), narrowed(subtract(whole, inside))];
  return negate ? { met: others, unmet: some } : { met: some, unmet: others };
}

function withFlags(domain: Domain, mask: number, oneOf: Value[]): Domain | undefined {
  if (!oneOf.every((value) => typeof value === 'number')) return undefined;
  return intersect(
    domain,
    FLAGS.filter(([bits]) => oneOf.includes(Number(bits) & mask)),
  );
}

/** Whether the domain has the value. */
export function isIn(domain: Domain, value: bigint): boolean {
  return domain.some(([from, to]) => from <= value && value <= to);
}

function inValues(domain: Domain, oneOf: Value[], family: Family): Domain | undefined {
  const intervals = oneOf.map((value) => intervalOf(value, family));
  if (!intervals.every((interval) => interval !== undefined)) return undefined;
  return intersect(domain, joined(intervals.filter((interval) => interval !== 'other family')));
}

function intervalOf(value: Value, family: Family): Interval | 'other family' | undefined {
  if (typeof value === 'number') return [BigInt(value), BigInt(value)];
  if (typeof value !== 'object' || 'startsWith' in value) return undefined;
  if ('from' in value) return [BigInt(value.from), BigInt(value.to)];
  const first = 'address' in value ? value.address : value.addressFrom;
  if (familyOf(first) !== family) return 'other family';
  if ('addressTo' in value) return [toBits(first), toBits(value.addressTo)];
  const free = BigInt((family === 'ipv4' ? 32 : 128) - value.length);
  const from = (toBits(first) >> free) << free;
  return [from, from + (1n << free) - 1n];
}

/** @param address as net.isIP takes it */
export function toBits(address: string): bigint {
  if (familyOf(address) === 'ipv4') return address.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
  const [head = '', tail] = (URL.parse(`http://[${address}]`)?.hostname.slice(1, -1) ?? '::').split('::');
  const groups = (text = '') => text.split(':').filter((group) => group !== '');
  const zeros = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => '0');
  const all = [...groups(head), ...(tail === undefined ? [] : zeros), ...groups(tail)];
  return all.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

/** The address as text. */
export function toAddress(bits: bigint, family: Family): string {
  const [count, width] = family === 'ipv4' ? [4, 8n] : [8, 16n];
  const parts = Array.from(
    { length: count },
    (_, i) => (bits >> (width * BigInt(count - 1 - i))) & ((1n << width) - 1n),
  );
  if (family === 'ipv4') return parts.join('.');
  return URL.parse(`http://[${parts.map((part) => part.toString(16)).join(':')}]`)?.hostname.slice(1, -1) ?? '::';
}

/** Every packet that is in one of the two. */
export function unite(a: Domains, b: Domains): Domains {
  const both = CHOSEN_FIELDS.flatMap((field) => {
    const [one, other] = [a[field], b[field]];
    const both = one && other && (one === other ? one : joined([...one, ...other]));
    return both && both.length <= MAX_INTERVALS ? [[field, both]] : [];
  });
  return Object.fromEntries(both);
}

const byStart = (a: Interval, b: Interval) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);

function joined(intervals: readonly Interval[]): Domain {
  const list: [bigint, bigint][] = [];
  for (const [from, to] of [...intervals].sort(byStart)) {
    const last = list.at(-1);
    if (last && from <= last[1] + 1n) last[1] = to > last[1] ? to : last[1];
    else if (from <= to) list.push([from, to]);
  }
  return list;
}

function intersect(a: Domain, b: Domain): Domain {
  const list: Interval[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const one = a[i] as Interval;
    const other = b[j] as Interval;
    const from = one[0] > other[0] ? one[0] : other[0];
    const to = one[1] < other[1] ? one[1] : other[1];
    if (from <= to) list.push([from, to]);
    if (one[1] < other[1]) i++;
    else j++;
  }
  return list;
}

/** What is left as it is stays the same object: a path divides hundreds of intervals by each of thousands of rules. */
function subtract(a: Domain, b: Domain): Domain {
  const list: Interval[] = [];
  let next = 0;
  for (const interval of a) {
    const [from, to] = interval;
    let start = from;
    // What is before this interval is before all that follow.
    while ((b[next]?.[1] ?? from) < from) next++;
    for (let i = next; i < b.length; i++) {
      const [first, last] = b[i] as Interval;
      if (first > to) break;
      if (first > start) list.push([start, first - 1n]);
      start = last + 1n;
    }
    if (start === from) list.push(interval);
    else if (start <= to) list.push([start, to]);
  }
  return list;
}
