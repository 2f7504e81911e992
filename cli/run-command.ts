// Finds the command, reads its arguments, runs it, and says what went wrong.
import { CodedError } from '../lib/errors.ts';
import { helpText } from '../lib/options.ts';
import { printable } from '../lib/printable.ts';
import { readArguments, splitCommand } from './arguments.ts';
import { type Command, type CommandContext, EXIT } from './cli-command.ts';
import { errors } from './cli-errors.ts';
import { COMMON_OPTIONS, type CommonValues } from './common-options.ts';
import { clusterNames } from './completion/cluster-names.ts';
import { completionOutput } from './completion/completion.ts';
import { explainFailure } from './refusal.ts';

/** What the process gives; `connect` gets the options that say where to. */
export type Surroundings = Omit<CommandContext, 'connect'> & {
  connect(where: Pick<CommonValues, 'kubeconfig' | 'context'>): ReturnType<CommandContext['connect']>;
};

/**
 * @param argv arguments after the program's name
 * @returns exit code; never rejects
 */
export async function runCommandLine(
  argv: string[],
  commands: readonly Command[],
  surroundings: Surroundings,
): Promise<number> {
  const { print, note, env } = surroundings;
  try {
    if (argv[0] === COMPLETE) {
      const words = argv.slice(1);
      const where = {
        kubeconfig: flagIn(words, 'kubeconfig') || env['KUBECONFIG'] || '',
        context: flagIn(words, 'context'),
      };
      print(
        await completionOutput(
          words,
          commands,
          clusterNames(() => surroundings.connect(where)),
        ),
      );
      return EXIT.well;
    }
    const { name, rest } = splitCommand(argv);
    if (name === undefined && rest.some((one) => one === '--help' || one === '-h')) {
      print(overview(commands));
      return EXIT.well;
    }
    const known = commands.map((one) => one.name).join(', ');
    if (name === undefined) throw errors.COMMAND_NOT_NAMED(known);
    if (name === 'help') {
      print(overview(commands));
      return EXIT.well;
    }
    const command = commands.find((one) => one.name === name);
    if (command === undefined) throw errors.COMMAND_UNKNOWN(name, known);
    const args = readArguments(command, rest, env);
    if (args.given.has('help')) {
      print(commandHelp(command));
      return EXIT.well;
    }
    const where = args.values as unknown as CommonValues;
    return await command.run(args, { ...surroundings, connect: () => surroundings.connect(where) });
  } catch (error) {
    const explained = explainFailure(error);
    note(explained instanceof CodedError ? `${explained.code}: ${explained.message}` : printable(String(explained)));
    return EXIT.cannot;
  }
}

/** What the scripts of `completion` call. */
const COMPLETE = '__complete';

function flagIn(words: string[], flag: string): string {
  const index = words.findIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`));
  const [, joined] = words[index]?.split('=', 2) ?? [];
  return joined ?? (index >= 0 ? (words[index + 1] ?? '') : '');
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: kubectl invalid-drop COMMAND [options]

Commands:
${lines.join('\n')}

kubectl invalid-drop COMMAND --help lists the options of a command.
Exit codes: 0 all is well; 1 something is not well, or was found; 2 an argument is wrong, or the cluster cannot be asked.
`;
}

/** What COMMAND --help prints. */
export function commandHelp({ usage, options, switches }: Command): string {
  const lines = Object.entries(switches).map(([name, text]) => `  --${name}\n      ${text}`);
  const common = ['  --all-namespaces, -A\n      All namespaces.', '  --help, -h\n      Print this.'];
  const own = `\n\nSwitches:\n${[...lines, ...common].join('\n')}`;
  return helpText(`${usage}${own}`, { ...options, ...COMMON_OPTIONS });
}
