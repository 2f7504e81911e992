// One iptables rule's options to steps: first all matches, in any order, then the one target.
import { type Match, parseMatch } from './iptables-match.ts';
import { parseTarget } from './iptables-target.ts';
import type { Step } from './model.ts';

/** An option as iptables-save prints it: `! --dport 80` is {flag: '--dport', negate: true, values: ['80']}. */
export interface SaveOption {
  flag: string;
  negate: boolean;
  values: string[];
}

/** Options whose value is free text and may look like an option. */
const TAKES_ONE = new Set([
  '--comment',
  '--log-prefix',
  '--nflog-prefix',
  '-m',
  '-j',
  '-g',
  '--string',
  '--hex-string',
]);

/**
 * @param body the rule without `-A CHAIN`
 * @returns its steps; what is not understood becomes a "maybe" condition or an "unknown" action, never nothing
 */
export function parseRule(body: string): Step[] {
  const options = toOptions(tokenize(body));
  const at = options.findIndex((option) => option.flag === '-j' || option.flag === '-g');
  const matches = toMatches(at < 0 ? options : options.slice(0, at)).flatMap(parseMatch);
  const steps: Step[] = matches.map((when) => ({ when }));
  const target = options[at];
  if (target) steps.push({ act: parseTarget(target, options.slice(at + 1)) });
  return steps;
}

function tokenize(text: string): string[] {
  const tokens = text.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? [];
  return tokens.map((token) => (token.startsWith('"') ? token.slice(1, -1).replace(/\\(.)/g, '$1') : token));
}

function toOptions(tokens: string[]): SaveOption[] {
  const options: SaveOption[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const negate = tokens[i] === '!';
    if (negate) i++;
    const flag = tokens[i] ?? '';
    const values: string[] = [];
    const ended = () => /^-|^!$/.test(tokens[i + 1] ?? '-') && !(TAKES_ONE.has(flag) && values.length === 0);
    while (i + 1 < tokens.length && !ended()) values.push(tokens[++i] ?? '');
    options.push({ flag, negate, values });
  }
  return options;
}

/** Options before the first `-m` are the rule's own; each later one belongs to the module named last. */
function toMatches(options: SaveOption[]): Match[] {
  const matches: Match[] = [];
  let module = '';
  for (const option of options) {
    if (option.flag === '-m') {
      module = option.values[0] ?? '';
      matches.push({ module, options: [] });
    } else if (/^-[a-z]$/.test(option.flag)) {
      matches.push({ module: '', options: [option] });
    } else {
      matches.at(-1)?.options.push(option);
    }
  }
  return matches;
}
