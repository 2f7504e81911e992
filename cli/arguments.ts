// Reads a command's arguments: kubectl's short flags and positional arguments, then options by their table. Pure.
import { parseArgs } from 'node:util';
import { readOptions } from '../lib/options.ts';
import type { Command, CommandArguments } from './cli-command.ts';
import { errors } from './cli-errors.ts';
import { COMMON_OPTIONS, COMMON_SWITCHES, SHORT_FLAGS } from './common-options.ts';

type Environment = Record<string, string | undefined>;

/**
 * The command's name is the first argument that is no flag, as in `kubectl -n storage get pods`.
 * @param argv arguments after the program's name
 * @returns the name, undefined where there is none, and the other arguments
 */
export function splitCommand(argv: string[]): { name: string | undefined; rest: string[] } {
  const first = tokensOf(argv, [], []).find(({ kind }) => kind === 'positional');
  if (first === undefined) return { name: undefined, rest: argv };
  return { name: argv[first.index], rest: argv.toSpliced(first.index, 1) };
}

/**
 * @param argv arguments without the command's name
 * @throws CodedError OPTION_INVALID, OPTION_UNKNOWN, OPTION_WITHOUT_VALUE or ARGUMENT_NOT_TAKEN
 */
export function readArguments(command: Command, argv: string[], env: Environment): CommandArguments<never, string> {
  const options = { ...COMMON_OPTIONS, ...command.options };
  const switches = [...COMMON_SWITCHES, ...Object.keys(command.switches)];
  const flags: string[] = [];
  const positionals: string[] = [];
  for (const token of tokensOf(argv, Object.keys(command.options), Object.keys(command.switches))) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const takesValue = token.name in options;
    if (takesValue && token.value === undefined) throw errors.OPTION_WITHOUT_VALUE(token.rawName);
    // As kubectl reads it: -n=storage.
    const short = !token.rawName.startsWith('--');
    const value = short && token.inlineValue ? token.value?.replace(/^=/, '') : token.value;
    const known = takesValue || switches.includes(token.name);
    flags.push(`${known ? `--${token.name}` : token.rawName}${takesValue ? `=${value}` : ''}`);
  }
  const read = readOptions(options, flags, env, switches);
  const extra = positionals[command.positionals];
  if (extra !== undefined && !read.given.has('help')) throw errors.ARGUMENT_NOT_TAKEN(command.name, extra);
  return { ...read, positionals } as CommandArguments<never, string>;
}

function tokensOf(argv: string[], ownOptions: string[], ownSwitches: string[]) {
  const short = (name: string) => {
    const letter = Object.keys(SHORT_FLAGS).find((one) => SHORT_FLAGS[one] === name);
    return letter === undefined ? {} : { short: letter };
  };
  const entries = [
    ...[...Object.keys(COMMON_OPTIONS), ...ownOptions].map((name) => [name, { type: 'string', ...short(name) }]),
    ...[...COMMON_SWITCHES, ...ownSwitches].map((name) => [name, { type: 'boolean', ...short(name) }]),
  ];
  return parseArgs({ args: argv, options: Object.fromEntries(entries), strict: false, tokens: true }).tokens;
}
