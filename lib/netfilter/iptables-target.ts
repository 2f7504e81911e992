// iptables targets to actions, for a packet that has no connection. A target that is not listed here is "unknown".
import type { SaveOption } from './iptables-rule.ts';
import type { Action, MarkChange } from './model.ts';
import { toNumber } from './numbers.ts';

/**
 * Targets that return XT_CONTINUE and change nothing that a verdict depends on (net/netfilter/xt_*.c). CONNMARK
 * and CONNSECMARK do nothing where the packet has no connection.
 */
const PASSES = new Set([
  ...['AUDIT', 'CHECKSUM', 'CLASSIFY', 'CONNMARK', 'CONNSECMARK', 'DSCP', 'ECN', 'HL', 'IDLETIMER', 'LED', 'LOG'],
  ...['NFLOG', 'RATEEST', 'SECMARK', 'TCPMSS', 'TCPOPTSTRIP', 'TEE', 'TOS', 'TRACE', 'TTL', 'ULOG'],
]);

const KEEP: MarkChange = { and: 0xffffffff, xor: 0 };

/**
 * @param target `-j NAME` or `-g CHAIN`
 * @param options what follows it
 * @param isChain whether the table has a user chain of that name: it goes before an extension of the same name
 */
export function parseTarget(target: SaveOption, options: SaveOption[], isChain: (name: string) => boolean): Action {
  const name = target.values[0] ?? '';
  if (target.flag === '-g') return { do: 'goto', chain: name };
  if (options.length === 0 && isChain(name)) return { do: 'jump', chain: name };
  switch (name) {
    case 'ACCEPT':
      return { do: 'accept' };
    case 'DROP':
      return { do: 'drop' };
    case 'RETURN':
      return { do: 'return' };
    case 'MARK':
      return parseMark(options);
    case 'HMARK':
      return { do: 'mark' };
    case 'SET':
      // --map-set may lay a mark that the set holds on the packet (set_target_v3, net/netfilter/xt_set.c).
      return has(options, '--map-set') ? { do: 'mark' } : { do: 'continue' };
    case 'NOTRACK':
      return { do: 'notrack' };
    case 'CT':
      return { do: has(options, '--notrack') ? 'notrack' : 'template' };
    case 'TPROXY':
      return parseTproxy(options);
    case 'REJECT':
      // Every other kind is an ICMP error, which TCP takes as a hint (RFC 5461) and no connection dies of.
      return { do: textOf(options, '--reject-with') === 'tcp-reset' ? 'reset' : 'drop' };
    default:
      return PASSES.has(name) ? { do: 'continue' } : { do: 'unknown', text: `-j ${name}` };
  }
}

function has(options: SaveOption[], flag: string): boolean {
  return options.some((option) => option.flag === flag);
}

function textOf(options: SaveOption[], flag: string): string | undefined {
  return options.find((option) => option.flag === flag)?.values[0];
}

/** tproxy_tg4 (net/netfilter/xt_TPROXY.c): (old & ~mask) ^ value. */
function parseTproxy(options: SaveOption[]): Action {
  const text = textOf(options, '--tproxy-mark');
  if (text === undefined) return { do: 'tproxy', ends: true, change: KEEP };
  const [value, mask] = toValueAndMask(text);
  if (value === undefined || mask === undefined) return { do: 'unknown', text: `-j TPROXY --tproxy-mark ${text}` };
  return { do: 'tproxy', ends: true, change: { and: ~mask >>> 0, xor: value } };
}

/** mark_tg (net/netfilter/xt_mark.c): (old & ~mask) ^ value. The other forms are those of libxt_MARK.c. */
function parseMark(options: SaveOption[]): Action {
  const [option] = options;
  const [value, mask] = toValueAndMask(option?.values[0] ?? '');
  const change =
    value === undefined || mask === undefined || options.length !== 1
      ? undefined
      : markChange(option?.flag, value, mask);
  return change ? { do: 'mark', change } : { do: 'unknown', text: '-j MARK' };
}

function markChange(flag: string | undefined, value: number, mask: number): MarkChange | undefined {
  switch (flag) {
    case '--set-xmark':
      return { and: ~mask >>> 0, xor: value };
    case '--set-mark':
      return { and: ~(mask | value) >>> 0, xor: value };
    case '--and-mark':
      return { and: value, xor: 0 };
    case '--or-mark':
      return { and: ~value >>> 0, xor: value };
    case '--xor-mark':
      return { and: 0xffffffff, xor: value };
    default:
      return undefined;
  }
}

function toValueAndMask(text: string): [number | undefined, number | undefined] {
  const [value = '', mask] = text.split('/');
  return [toNumber(value), mask === undefined ? 0xffffffff : toNumber(mask)];
}
