// One iptables rule's options to steps: first all matches, in any order, then the one target.
import { type Match, parseMatch } from './iptables-match.ts';
import { parseTarget } from './iptables-target.ts';
import type { Step } from './model.ts';
import { type Token, tokenize } from './save-text.ts';

/** An option as iptables-save prints it: `! --dport 80` is {flag: '--dport', negate: true, values: ['80']}. */
export interface SaveOption {
  flag: string;
  negate: boolean;
  values: string[];
}

export interface ParsedRule {
  steps: Step[];
  /** What follows -j, where the rule has it. */
  target?: string;
}

/** Options with exactly one value, which may look like an option: an interface or a comment may be called "-j". */
const TAKES_ONE = new Set([
  ...['-m', '-j', '-g', '-i', '-o', '-s', '-d', '-p'],
  ...['--comment', '--log-prefix', '--nflog-prefix', '--string', '--hex-string', '--name', '--helper', '--path'],
]);

/**
 * @param body the rule without `-A CHAIN`
 * @param isChain whether the table has a user chain of that name
 * @returns its steps; what is not understood becomes a "maybe" condition or an "unknown" action, never nothing
 */
export function parseRule(body: string, isChain: (name: string) => boolean): ParsedRule {
  const options = toOptions(tokenize(body));
  const at = options?.findIndex(({ flag }) => flag === '-j' || flag === '-g') ?? -1;
  const target = options?.[at];
  const ownAfterTarget = target && options?.slice(at + 1).some(isOwn);
  if (!options || ownAfterTarget) return { steps: [{ act: { do: 'unknown', text: 'words that are no options' } }] };
  const steps: Step[] = toMatches(target ? options.slice(0, at) : options)
    .flatMap(parseMatch)
    .map((when) => ({ when }));
  if (!target) return { steps };
  steps.push({ act: parseTarget(target, options.slice(at + 1), isChain) });
  return { steps, target: target.values[0] ?? '' };
}

/** Undefined where a word stands in the place of an option. */
function toOptions(tokens: Token[]): SaveOption[] | undefined {
  const options: SaveOption[] = [];
  const isWord = (token: Token | undefined) => token && (token.quoted || !/^(-.+|!)$/.test(token.text));
  for (let i = 0; i < tokens.length; ) {
    const negate = tokens[i]?.text === '!' && !tokens[i]?.quoted;
    if (negate) i++;
    const flag = tokens[i];
    if (!flag || isWord(flag)) return undefined;
    const first = ++i;
    // An interface's name is printed as it is: a quote in it is no quotation, and the line's end is not where it seems.
    if (/^-[io]$/.test(flag.text) && tokens[i]?.quoted) return undefined;
    if (TAKES_ONE.has(flag.text)) i++;
    else while (isWord(tokens[i])) i++;
    options.push({ flag: flag.text, negate, values: tokens.slice(first, i).map(({ text }) => text) });
  }
  return options;
}

/** The rule's own options are single letters; every other one belongs to the module named last. */
function isOwn({ flag }: SaveOption): boolean {
  return /^-[a-zA-Z0-9]$/.test(flag);
}

function toMatches(options: SaveOption[]): Match[] {
  const matches: Match[] = [];
  for (const option of options) {
    const module = matches.at(-1);
    if (option.flag === '-m') matches.push({ module: option.values[0] ?? '', options: [] });
    else if (module && !isOwn(option)) module.options.push(option);
    else matches.push({ module: '', options: [option] });
  }
  return matches;
}
