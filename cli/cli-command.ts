// What a command is, and what it gets. commands.ts lists them; run-command.ts reads their arguments and runs them.
import type { KubeConfig } from '@kubernetes/client-node';
import type { OperatorClient } from '../lib/cluster/cluster-client.ts';
import type { OptionTable, OptionValues } from '../lib/options.ts';
import type { COMMON_OPTIONS, CommonSwitch } from './common-options.ts';
import type { CompletionNames } from './completion-names.ts';

/** Exit codes, the same for each command. */
export const EXIT = {
  /** All is well, or what was asked for is done. */
  well: 0,
  /** Something is not well, or something was found. */
  found: 1,
  /** An argument is wrong, or the cluster cannot be asked. */
  cannot: 2,
} as const;

/** The API server, with the person's own credentials and rights. */
export interface CliClient extends OperatorClient {
  /** For streams of the client library, such as PortForward and Exec. */
  config: KubeConfig;
  /** The context's namespace, or `default`, as kubectl takes it without -n. */
  namespace: string;
}

export interface CommandContext {
  env: Record<string, string | undefined>;
  /** A new client, and with it a new connection, each time. The library is large: it is loaded when this is called first. */
  connect(): Promise<CliClient>;
  /** The result, on standard output. What others wrote must be escaped (lib/printable.ts). */
  print(text: string): void;
  /** A line beside the result, on standard error; it is escaped. */
  note(text: string): void;
  /** For a person at a terminal, on standard error; undefined where there is none. */
  progress: ((text: string) => void) | undefined;
  /** Fires at the first Ctrl-C. A second one ends the process at once. */
  stop: AbortSignal;
}

export interface CommandArguments<T extends OptionTable, S extends string> {
  values: OptionValues<T & typeof COMMON_OPTIONS>;
  given: Set<S | CommonSwitch>;
  /** What is no flag, in order, without the command's name. */
  positionals: string[];
}

export interface CommandDefinition<T extends OptionTable, S extends string> {
  name: string;
  /** One sentence for the list of commands. */
  summary: string;
  /** For --help: "Usage: ..." and what the command does. */
  usage: string;
  /** Beside the common ones. */
  options: T;
  /** Flags without a value, each with one sentence for --help; beside the common ones. */
  switches: Record<S, string>;
  /** Positional arguments that are taken at most. */
  positionals: number;
  /** Candidates for positional arguments. @param before the words that stand before the one being written */
  complete?(before: string[], names: CompletionNames): Promise<string[]>;
  /** @returns exit code @throws what run-command.ts explains and turns into EXIT.cannot */
  run(args: CommandArguments<T, S>, context: CommandContext): Promise<number>;
}

/** A command as the table of commands has it: its own types are known to itself only. */
export type Command = CommandDefinition<OptionTable, string>;

/** Checks a command by its own types, and gives it the common type. */
export function defineCommand<const T extends OptionTable, const S extends string>(
  definition: CommandDefinition<T, S>,
): Command {
  return definition as unknown as Command;
}
