// iptables-save text to tables. Format: ip(6)tables-save(8); builtin chains and priorities:
// include/uapi/linux/netfilter_ipv4.h and the table modules in net/ipv4/netfilter.
import {
  type Action,
  type Backend,
  type BaseChainHook,
  type Chain,
  type IptablesOption,
  type Rule,
  type Step,
  type Table,
  tableFamilyOf,
} from './model.ts';
import {
  type Comparison,
  type Condition,
  type Family,
  type MarkChange,
  toFlags,
  toNetwork,
  toNumber,
  toProtocol,
  undecidable,
  type Value,
} from './packet.ts';

/** A rule of iptables-save, with its match modules and its target apart. */
export interface SavedRule extends Rule {
  /** In the rule's order; the module '' holds the rule's own options, such as -i. */
  matches: { module: string; steps: Step[] }[];
  target?: { name: string; act: Action };
}

const PRIORITY: Record<string, number> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 };
const HOOK_OF: Record<string, BaseChainHook['name']> = { PREROUTING: 'prerouting', INPUT: 'input' };

/**
 * Parses what iptables-save or ip6tables-save printed, with or without counters (-c).
 * @returns its tables; a line that is no table, chain, rule or comment makes all base chains of its table "unknown"
 */
export function parseSave(text: string, backend: Backend, family: Family): Table[] {
  const tables: Table[] = [];
  let table: Table | undefined;
  for (const line of splitLines(text)) {
    if (line.startsWith('#') || line === 'COMMIT') continue;
    if (line.startsWith('*') || !table) {
      table = newTable(line.startsWith('*') ? line.slice(1) : 'filter', backend, family);
      tables.push(table);
    }
    if (line.startsWith(':')) addChain(table, line.slice(1));
    else if (!line.startsWith('*')) addRule(table, line);
  }
  return tables;
}

function newTable(name: string, backend: Backend, family: Family): Table {
  return { backend, family: tableFamilyOf(family), name, dormant: false, chains: new Map() };
}

/** `NAME POLICY [packets:bytes]`. The policy of a user chain is `-`, also where it has a builtin chain's name. */
function addChain(table: Table, line: string): void {
  const [name = '', policy = '-'] = line.split(' ');
  const chain: Chain = { name, policy: policy === 'DROP' ? 'drop' : 'accept', rules: [] };
  const hook = HOOK_OF[name];
  const priority = PRIORITY[table.name];
  if (hook && priority !== undefined && policy !== '-') {
    chain.hook = { name: hook, priority, nat: table.name === 'nat' };
  }
  table.chains.set(name, chain);
}

function addRule(table: Table, line: string): void {
  const [, packets, bytes, text = line] = line.match(/^\[(\d+):(\d+)\] ([\s\S]*)$/) ?? [];
  const [, name = '', body = ''] = text.match(/^-A (\S+)(?: ([\s\S]*))?$/) ?? [];
  const chain = table.chains.get(name);
  if (!chain) {
    addUnreadable(table, text);
    return;
  }
  const rule: SavedRule = { text, id: text, ...parseRule(body, (target) => isUserChain(table, target)) };
  chain.rules.push(packets === undefined ? rule : { ...rule, packets: Number(packets), bytes: Number(bytes) });
}

function isUserChain(table: Table, name: string): boolean {
  const chain = table.chains.get(name);
  return chain !== undefined && chain.hook === undefined;
}

/** A line of unknown meaning may belong to any chain: each base chain begins with it. */
function addUnreadable(table: Table, text: string): void {
  const rule: Rule = { text, id: text, steps: [{ act: { do: 'unknown', text: 'a line that is not a rule' } }] };
  for (const name of Object.keys(HOOK_OF)) {
    if (!table.chains.has(name)) addChain(table, `${name} ACCEPT`);
    table.chains.get(name)?.rules.unshift(rule);
  }
}

// Lines and words. iptables-save quotes what is not a plain word and escapes only quotes and backslashes; a comment may
// hold line ends (xtables_save_string in libxtables/xtables.c).

interface Token {
  text: string;
  quoted: boolean;
}

const QUOTED = String.raw`(?<=^|\s)"(?:\\[\s\S]|[^"\\])*"(?=\s|$)`;
const LINE = new RegExp(`(?:${QUOTED}|[^\n])+`, 'g');
const TOKEN = new RegExp(`${QUOTED}|\\S+`, 'g');

/** The lines of a save text, each with the line ends that its quoted values hold. */
export function splitLines(text: string): string[] {
  return (text.match(LINE) ?? []).map((line) => line.trim()).filter((line) => line !== '');
}

/** The words of a line; a quoted one without its quotes and escapes. */
export function tokenize(line: string): Token[] {
  return (line.match(TOKEN) ?? []).map((text) =>
    text.length > 1 && text.startsWith('"') && text.endsWith('"')
      ? { text: text.slice(1, -1).replace(/\\([\s\S])/g, '$1'), quoted: true }
      : { text, quoted: false },
  );
}

// One rule's options: first all matches, in any order, then the one target.

/** Options with exactly one value, which may look like an option: an interface or a comment may be called "-j". */
const TAKES_ONE = new Set([
  ...['-m', '-j', '-g', '-i', '-o', '-s', '-d', '-p'],
  ...['--comment', '--log-prefix', '--nflog-prefix', '--string', '--hex-string', '--name', '--helper', '--path'],
]);

/**
 * @param body the rule without `-A CHAIN`
 * @param isChain whether the table has a user chain of that name
 * @returns the rule's parts; what is not understood becomes an undecidable condition or an unknown action
 */
function parseRule(
  body: string,
  isChain: (name: string) => boolean,
): Pick<SavedRule, 'steps' | 'options' | 'matches' | 'target'> {
  const options = parseOptions(body);
  const at = options?.findIndex(({ flag }) => flag === '-j' || flag === '-g') ?? -1;
  const target = options?.[at];
  const ownAfterTarget = target && options?.slice(at + 1).some(isOwn);
  if (!options || ownAfterTarget) {
    return { steps: [{ act: { do: 'unknown', text: 'words that are not options' } }], matches: [] };
  }
  const matches = groupByModule(target ? options.slice(0, at) : options).map((match) => ({
    module: match.module,
    steps: [...parseMatch(match).map((when) => ({ when })), ...changesOf(match)],
  }));
  const steps = matches.flatMap((match) => match.steps);
  if (!target) return { steps, options, matches };
  const act = parseTarget(target, options.slice(at + 1), isChain);
  return { steps: [...steps, { act }], options, matches, target: { name: target.values[0] ?? '', act } };
}

/** The options of a rule; undefined where a word stands in the place of an option. */
export function parseOptions(body: string): IptablesOption[] | undefined {
  const tokens = tokenize(body);
  const options: IptablesOption[] = [];
  const isWord = (token: Token | undefined) => token && (token.quoted || !/^(-.+|!)$/.test(token.text));
  for (let i = 0; i < tokens.length; ) {
    const negate = tokens[i]?.text === '!' && !tokens[i]?.quoted;
    if (negate) i++;
    const flag = tokens[i];
    if (!flag || isWord(flag)) return undefined;
    const first = ++i;
    // An interface's name is printed without quotes: a quote belongs to the name, and the end of the line is in doubt.
    if (/^-[io]$/.test(flag.text) && tokens[i]?.quoted) return undefined;
    if (TAKES_ONE.has(flag.text)) i++;
    else while (isWord(tokens[i])) i++;
    options.push({ flag: flag.text, negate, values: tokens.slice(first, i).map(({ text }) => text) });
  }
  return options;
}

/** The rule's own options are single letters; every other one belongs to the module named last. */
function isOwn({ flag }: IptablesOption): boolean {
  return /^-[a-zA-Z0-9]$/.test(flag);
}

interface ModuleOptions {
  module: string;
  options: IptablesOption[];
}

function groupByModule(options: IptablesOption[]): ModuleOptions[] {
  const modules: ModuleOptions[] = [];
  for (const option of options) {
    const last = modules.at(-1);
    if (option.flag === '-m') modules.push({ module: option.values[0] ?? '', options: [] });
    else if (last && !isOwn(option)) last.options.push(option);
    else modules.push({ module: '', options: [option] });
  }
  return modules;
}

// Matches to conditions. An option that is not listed here is undecidable.

/** Modules that match by themselves and only restrict by their options. */
const TRUE_ALONE = new Set(['', 'comment', 'tcp']);

/** @returns conditions that must all hold */
function parseMatch(match: ModuleOptions): Condition[] {
  const text = matchText(match);
  if (match.module === 'conntrack' || match.module === 'state') return parseState(match.options, text);
  // connmark_mt (net/netfilter/xt_connmark.c): false where the packet has no connection, negated or not.
  if (match.module === 'connmark') return [{ withoutConnection: false, withConnection: undefined, text }];
  // socket_match (net/netfilter/xt_socket.c): a listener on all addresses is passed over.
  if (match.module === 'socket' && match.options.length === 0) {
    return [{ field: 'socket', oneOf: ['own', 'listener'], negate: false, text }];
  }
  if (match.options.length === 0) return TRUE_ALONE.has(match.module) ? [] : [undecidable(text)];
  return match.options.map((option) => parseOption(match.module, option, text) ?? undecidable(text));
}

/** What a match changes of the packet where it holds: socket_match (net/netfilter/xt_socket.c) may set its mark. */
function changesOf({ module, options }: ModuleOptions): Step[] {
  const setsMark = module === 'socket' && options.some(({ flag }) => flag === '--restore-skmark');
  return setsMark ? [{ act: { do: 'mark' } }] : [];
}

type Parsed = Pick<Comparison, 'field' | 'mask'> & { oneOf: (Value | undefined)[] };

const PARSERS: Record<string, (option: IptablesOption, value: string) => Parsed | undefined> = {
  ' -p': (_, name) => ({ field: 'protocol', oneOf: [toProtocol(name)] }),
  ' -i': (_, name) => ({ field: 'iif', oneOf: [toInterface(name)] }),
  ' -s': (_, network) => ({ field: 'source', oneOf: [parseNetwork(network)] }),
  ' -d': (_, network) => ({ field: 'destination', oneOf: [parseNetwork(network)] }),
  'tcp --sport': (_, ports) => ({ field: 'sourcePort', oneOf: toPorts(ports) }),
  'tcp --dport': (_, ports) => ({ field: 'destinationPort', oneOf: toPorts(ports) }),
  'tcp --tcp-flags': ({ values }, names) => {
    const mask = toFlags(names);
    return mask === undefined ? undefined : { field: 'flags', mask, oneOf: [toFlags(values[1] ?? '')] };
  },
  'multiport --sports': (_, ports) => ({ field: 'sourcePort', oneOf: toPorts(ports) }),
  'multiport --dports': (_, ports) => ({ field: 'destinationPort', oneOf: toPorts(ports) }),
  'mark --mark': (_, text) => {
    const [value, mask] = text.split('/').map(toNumber);
    if (text.includes('/') && mask === undefined) return undefined;
    return { field: 'mark', mask: mask ?? 0xffffffff, oneOf: [value] };
  },
};

function parseOption(module: string, option: IptablesOption, text: string): Condition | undefined {
  const value = option.values[0] ?? '';
  if (module === 'comment' && option.flag === '--comment') return { constant: true, text };
  if (module === '' && option.flag === '-p' && ['all', '0'].includes(value)) return { constant: !option.negate, text };
  const parsed = PARSERS[`${module} ${option.flag}`]?.(option, value);
  if (!parsed) return undefined;
  const oneOf = parsed.oneOf.filter((one) => one !== undefined);
  return oneOf.length === parsed.oneOf.length ? { ...parsed, oneOf, negate: option.negate, text } : undefined;
}

/**
 * For a packet without a connection, conntrack_mt (net/netfilter/xt_conntrack.c) looks at the state alone: it matches
 * if the state is asked for and fits, and ignores other options; without a state option it never matches.
 */
function parseState(options: IptablesOption[], text: string): Condition[] {
  const state = options.find((option) => option.flag === '--ctstate' || option.flag === '--state');
  if (!state) return [{ withoutConnection: false, withConnection: undefined, text }];
  const oneOf = (state.values[0] ?? '').split(',').map((name) => name.toLowerCase());
  const others: Condition[] = options.length > 1 ? [{ withoutConnection: true, withConnection: undefined, text }] : [];
  return [{ field: 'ctstate', oneOf, negate: state.negate, text }, ...others];
}

function toPorts(text: string): (Value | undefined)[] {
  return text.split(',').map((range) => {
    const [from = '', to] = range.split(':');
    const low = from === '' ? 0 : toNumber(from);
    const high = to === undefined ? low : to === '' ? 65535 : toNumber(to);
    return low === undefined || high === undefined ? undefined : { from: low, to: high };
  });
}

function toInterface(name: string): Value {
  return name.endsWith('+') ? { startsWith: name.slice(0, -1) } : name;
}

/** Undefined for a mask that is no prefix, such as 10.0.0.1/255.0.255.255. */
function parseNetwork(text: string): Value | undefined {
  const [address = '', length] = text.split('/');
  return toNetwork(address, length === undefined ? undefined : (toNumber(length) ?? Number.NaN));
}

function matchText(match: ModuleOptions): string {
  const options = match.options.map((option) => [option.negate ? '!' : '', option.flag, ...option.values]);
  return [match.module && `-m ${match.module}`, ...options.flat()].filter((word) => word !== '').join(' ');
}

// Targets to actions. A target that is not listed here is "unknown".

/**
 * Targets that return XT_CONTINUE and change nothing that a verdict depends on (net/netfilter/xt_*.c). CONNSECMARK does
 * nothing where the packet has no connection.
 */
const PASSES = new Set([
  ...['AUDIT', 'CHECKSUM', 'CLASSIFY', 'CONNSECMARK', 'DSCP', 'ECN', 'HL', 'IDLETIMER', 'LED', 'LOG', 'NFLOG'],
  ...['RATEEST', 'SECMARK', 'TCPMSS', 'TCPOPTSTRIP', 'TEE', 'TOS', 'TRACE', 'TTL', 'ULOG'],
]);

const KEEP: MarkChange = { and: 0xffffffff, xor: 0 };

/**
 * @param target `-j NAME` or `-g CHAIN`
 * @param options what follows it
 * @param isChain whether the table has a user chain of that name: it goes before an extension of the same name
 */
function parseTarget(target: IptablesOption, options: IptablesOption[], isChain: (name: string) => boolean): Action {
  const name = target.values[0] ?? '';
  const has = (flag: string) => options.some((option) => option.flag === flag);
  const valueFor = (flag: string) => options.find((option) => option.flag === flag)?.values[0];
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
    case 'CONNMARK':
      // connmark_tg (net/netfilter/xt_connmark.c): nothing else changes the packet.
      return { do: has('--restore-mark') ? 'restore-mark' : 'continue' };
    case 'SET':
      // --map-set may lay a mark that the set holds on the packet (set_target_v3, net/netfilter/xt_set.c).
      return has('--map-set') ? { do: 'mark' } : { do: 'continue' };
    case 'NOTRACK':
      return { do: 'notrack' };
    case 'CT':
      return { do: has('--notrack') ? 'notrack' : 'template' };
    case 'SYNPROXY':
      return { do: 'synproxy', text: `-j ${name}` };
    case 'REDIRECT':
      return { do: 'redirect', ...portOf(valueFor('--to-ports')), text: `-j ${name}` };
    case 'TPROXY':
      return parseTproxy(valueFor('--tproxy-mark'), portOf(valueFor('--on-port')));
    case 'REJECT':
      // Every other kind is an ICMP error, which TCP takes as a hint (RFC 5461) and no connection dies of.
      return { do: valueFor('--reject-with') === 'tcp-reset' ? 'reset' : 'drop' };
    default:
      return PASSES.has(name) ? { do: 'continue' } : { do: 'unknown', text: `-j ${name}` };
  }
}

/** What a target does whatever its options are; undefined where they decide. */
export function actionByName(name: string): Action | undefined {
  if (PASSES.has(name)) return { do: 'continue' };
  if (name === 'MARK' || name === 'HMARK' || name === 'SET') return { do: 'mark' };
  // Without a connection it changes nothing, with one at most the mark.
  return name === 'CONNMARK' ? { do: 'restore-mark' } : undefined;
}

/** No port for a range of ports, of which one is picked for each connection. */
function portOf(text: string | undefined): { port?: number } {
  const port = text === undefined ? undefined : toNumber(text);
  return port === undefined ? {} : { port };
}

/** tproxy_tg4 (net/netfilter/xt_TPROXY.c): (old & ~mask) ^ value. */
function parseTproxy(mark: string | undefined, port: { port?: number }): Action {
  if (mark === undefined) return { do: 'tproxy', ends: true, change: KEEP, ...port };
  const [value, mask] = toValueAndMask(mark);
  if (value === undefined || mask === undefined) return { do: 'unknown', text: `-j TPROXY --tproxy-mark ${mark}` };
  return { do: 'tproxy', ends: true, change: { and: ~mask >>> 0, xor: value }, ...port };
}

/** mark_tg (net/netfilter/xt_mark.c): (old & ~mask) ^ value. The other forms are those of libxt_MARK.c. */
function parseMark(options: IptablesOption[]): Action {
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
