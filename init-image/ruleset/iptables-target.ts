// iptables targets to actions, for a packet that has no connection. A target that is not listed here is "unknown".
import type { SaveOption } from './iptables-rule.ts';
import type { Action } from './model.ts';
import { toNumber } from './numbers.ts';

/**
 * Targets that return XT_CONTINUE and change nothing that a verdict depends on (net/netfilter/xt_*.c). CONNMARK
 * and CONNSECMARK do nothing where the packet has no connection.
 */
const PASSES = new Set([
  'AUDIT',
  'CHECKSUM',
  'CLASSIFY',
  'CONNMARK',
  'CONNSECMARK',
  'DSCP',
  'ECN',
  'HL',
  'HMARK',
  'IDLETIMER',
  'LED',
  'LOG',
  'NFLOG',
  'RATEEST',
  'SECMARK',
  'SET',
  'TCPMSS',
  'TCPOPTSTRIP',
  'TEE',
  'TOS',
  'TRACE',
  'TTL',
  'ULOG',
]);

/**
 * @param target `-j NAME` or `-g CHAIN`
 * @param options what follows it
 */
export function parseTarget(target: SaveOption, options: SaveOption[]): Action {
  const name = target.values[0] ?? '';
  if (target.flag === '-g') return { do: 'goto', chain: name };
  switch (name) {
    case 'ACCEPT':
      return { do: 'accept' };
    case 'DROP':
      return { do: 'drop' };
    case 'RETURN':
      return { do: 'return' };
    case 'MARK':
      return parseMark(options);
    case 'NOTRACK':
      return { do: 'notrack' };
    case 'CT':
      return { do: options.some((option) => option.flag === '--notrack') ? 'notrack' : 'template' };
    case 'TPROXY':
      return { do: 'tproxy', ends: true };
    case 'REJECT':
      // Every other kind is an ICMP error, which TCP takes as a hint (RFC 5461) and no connection dies of.
      return { do: options.some((option) => option.values[0] === 'tcp-reset') ? 'reset' : 'drop' };
    default:
      return PASSES.has(name) ? { do: 'continue' } : toChainOrUnknown(name, options);
  }
}

/** Only a chain of the table's own can be jumped to without options; the walk says so if there is none. */
function toChainOrUnknown(name: string, options: SaveOption[]): Action {
  return options.length === 0 ? { do: 'jump', chain: name } : { do: 'unknown', text: `-j ${name}` };
}

/** iptables-save prints --set-xmark for all forms but --and-mark and the like of old releases. */
function parseMark(options: SaveOption[]): Action {
  const [value, mask = 0xffffffff] = (options[0]?.values[0] ?? '').split('/').map(toNumber);
  const known = value !== undefined && options.length === 1;
  switch (known && options[0]?.flag) {
    case '--set-xmark':
      return { do: 'mark', and: ~mask >>> 0, xor: value ?? 0 };
    case '--set-mark':
      // mark_tg: (old & ~mask) ^ value; --set-mark clears the value's bits first, so that it works as OR.
      return { do: 'mark', and: ~(mask | (value ?? 0)) >>> 0, xor: value ?? 0 };
    case '--and-mark':
      return { do: 'mark', and: value ?? 0, xor: 0 };
    case '--or-mark':
      return { do: 'mark', and: ~(value ?? 0) >>> 0, xor: value ?? 0 };
    case '--xor-mark':
      return { do: 'mark', and: 0xffffffff, xor: value ?? 0 };
    default:
      return { do: 'unknown', text: '-j MARK' };
  }
}
