// The only place that starts a program. Arguments are arrays, never a shell's string, and every run has a time limit.
import { type ChildProcess, spawn } from 'node:child_process';
import { errors } from './errors.ts';
import { type MemoryBudget, memoryBudget, watchMemory } from './memory-budget.ts';

export interface ProgramOutput {
  /** Null where it was ended by a signal. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end.
 * @param options.input what it reads on standard input; without it there is none, which saves a pipe for each run
 * @param options.timeout milliseconds until it is killed
 * @param options.file descriptor of an open file that it has as 3
 * @param options.signal kills it when it is aborted; the run rejects then
 * @param options.memory what it may take and print, and is killed beyond; of the container's limit where it is not given
 * @returns its exit code and output, also where the exit code is not 0
 * @throws CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_TOO_LARGE or COMMAND_KILLED
 */
export function runCommand(
  command: string,
  args: string[],
  options: {
    timeout: number;
    input?: string;
    env?: NodeJS.ProcessEnv;
    file?: number;
    signal?: AbortSignal;
    memory?: MemoryBudget;
  },
): Promise<ProgramOutput> {
  const { timeout, input, env, file, signal, memory = memoryBudget() } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(file === undefined ? [] : [file])],
      timeout,
      killSignal: 'SIGKILL',
      ...(signal && { signal }),
      ...(env && { env }),
    });
    const output = { stdout: '', stderr: '' };
    const giveUp = (what: string, bytes: number) => {
      reject(errors.COMMAND_TOO_LARGE(command, what, bytes));
      child.kill('SIGKILL');
    };
    watchMemory(child, memory.programs, () => giveUp('took', memory.programs));
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
        if (output[name].length > memory.output) giveUp('printed', memory.output);
      });
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? errors.COMMAND_MISSING(command) : error);
    });
    child.once('close', (exitCode, signal) => {
      // Node marks only what it has sent itself: a kill of the kernel's is for want of memory.
      if (signal === 'SIGKILL')
        reject(child.killed ? errors.COMMAND_TIMEOUT(command, timeout) : errors.COMMAND_KILLED(command));
      else resolve({ exitCode, ...output });
    });
    // A program that ends before it has read its input is reported by its exit code, not by EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** For functions that are given `runCommand`, or a test's own. */
export type RunCommand = typeof runCommand;

/**
 * Starts a program that keeps running.
 * @param onText called with what it prints on standard output, as it comes
 * @param onEnd called once, when it has ended or could not be started
 * @param file descriptor of an open file that it has as 3
 * @returns the process; the caller ends it
 */
export function startCommand(
  command: string,
  args: string[],
  onText: (text: string) => void,
  onEnd: (how: string) => void,
  file?: number,
): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore', ...(file === undefined ? [] : [file])] });
  child.stdout?.setEncoding('utf8').on('data', onText);
  child.once('error', (error) => onEnd(error.message));
  child.once('exit', (code, signal) => onEnd(signal ?? `exit code ${code}`));
  return child;
}

/** For functions that are given `startCommand`, or a test's own. */
export type StartCommand = typeof startCommand;
