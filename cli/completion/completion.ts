// What may follow on the command line, in the form that kubectl and cobra have: candidates, one a line, each with a tab and its
// meaning, then a colon and a directive (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/, "shell completion").
import type { Option, OptionTable } from '../../lib/options.ts';
import type { Command } from '../cli-command.ts';
import { COMMON_OPTIONS, COMMON_SWITCHES, SHORT_FLAGS } from '../common-options.ts';
import type { CompletionNames } from '../completion-names.ts';

/** cobra's ShellCompDirectiveNoFileComp: the shell is not to offer names of files. */
const NO_FILES = ':4';

/** @param words after the program's name, the last one being written */
export async function completionOutput(
  words: string[],
  commands: readonly Command[],
  names: CompletionNames,
): Promise<string> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const command = commands.find(({ name }) => name === before.find((word) => !word.startsWith('-')));
  const found = await candidates(before, current, command, commands, names);
  const fitting = found.filter((one) => one.startsWith(current));
  return [...fitting, NO_FILES, ''].join('\n');
}

async function candidates(
  before: string[],
  current: string,
  command: Command | undefined,
  commands: readonly Command[],
  names: CompletionNames,
): Promise<string[]> {
  const options: OptionTable = { ...COMMON_OPTIONS, ...command?.options };
  const joined = /^--([a-z-]+)=/.exec(current);
  if (joined !== null) return (await values(joined[1] ?? '', options, names)).map((value) => `${joined[0]}${value}`);
  const last = before.at(-1) ?? '';
  const name = last.startsWith('--') ? last.slice(2) : last.startsWith('-') ? (SHORT_FLAGS[last.slice(1)] ?? '') : '';
  if (name in options) return values(name, options, names);
  if (current.startsWith('-')) {
    const switches = Object.entries(command?.switches ?? {}).map(([one, help]) => `--${one}\t${help}`);
    const flags = Object.entries(options).map(([one, { help }]) => `--${one}\t${help}`);
    return [...switches, ...flags, ...COMMON_SWITCHES.map((one) => `--${one}`)];
  }
  if (command === undefined) return commands.map((one) => `${one.name}\t${one.summary}`);
  return command.positionals > 0 ? ((await command.complete?.(before, names)) ?? []) : [];
}

async function values(name: string, options: OptionTable, names: CompletionNames): Promise<string[]> {
  if (name === 'context') return names.contexts();
  if (name === 'namespace') return names.namespaces();
  const option = options[name];
  return option === undefined ? [] : wordsOf(option);
}

/** The values of an option that is one of a list of words. */
function wordsOf({ allowed, parse }: Option<unknown>): string[] {
  return allowed.split(' or ').filter((word) => /^[a-z-]+$/.test(word) && parse(word) !== undefined);
}
