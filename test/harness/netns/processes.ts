// Runs programs for tests, tools, demo and benches: arguments as arrays, a time limit on each, and none left behind.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { ProgramOutput } from '../../../lib/command.ts';

export type { ProgramOutput };

/** How many times slower than usual this machine is, such as an emulated one. */
const PATIENCE = Number(process.env['PATIENCE'] || 1);
/** Milliseconds that something may take here that takes `usual` elsewhere. */
export const patient = (usual: number): number => usual * PATIENCE;

const DEFAULT_LIMIT = patient(30_000);
/** Milliseconds after which a program is killed, where no test has stopped it. */
const LIFETIME = patient(900_000);
/** Milliseconds for the last output of a program that has ended: a child that outlives it would keep the pipes open. */
const LAST_OUTPUT = 1000;
const running = new Set<Program>();

/** A program that stays until it is stopped; its output can be waited for. */
export class Program {
  readonly child: ChildProcess;
  output = '';
  errors = '';
  private readonly ended: Promise<unknown>;
  /** Whether it has ended, and all its output is here. */
  closed = false;

  constructor(command: string, args: string[], options: SpawnOptions = {}) {
    const limits: SpawnOptions = { timeout: LIFETIME, killSignal: 'SIGKILL' };
    this.child = spawn(command, args, { ...limits, ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.output += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.errors += text;
    });
    this.child.stdin?.on('error', () => undefined);
    this.child.once('exit', () => setTimeout(() => this.closePipes(), LAST_OUTPUT).unref());
    this.ended = once(this.child, 'close').catch((error: Error) => {
      this.errors += error.message;
    });
    running.add(this);
    void this.ended.then(() => {
      this.closed = true;
      running.delete(this);
    });
  }

  private closePipes(): void {
    for (const pipe of [this.child.stdin, this.child.stdout, this.child.stderr]) pipe?.destroy();
  }

  /** Waits until the output matches; rejects where the program ends, or `limit` milliseconds pass, before. */
  async waitForOutput(pattern: RegExp, limit = DEFAULT_LIMIT): Promise<RegExpMatchArray> {
    const deadline = AbortSignal.timeout(limit);
    for (;;) {
      const match = this.output.match(pattern);
      if (match) return match;
      if (this.closed || deadline.aborted) {
        throw new Error(`${this.closed ? 'ended' : 'timed out'} before ${pattern}: ${this.output}${this.errors}`);
      }
      const stdout = this.child.stdout;
      if (!stdout) throw new Error('no output');
      await Promise.race([once(stdout, 'data', { signal: deadline }), this.ended]).catch(() => undefined);
    }
  }

  /** Waits for the end; kills the program after `limit` milliseconds. */
  async end(limit = DEFAULT_LIMIT): Promise<ProgramOutput> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), limit);
    await this.ended;
    clearTimeout(timer);
    return { exitCode: this.child.exitCode, stdout: this.output, stderr: this.errors };
  }

  /** Asks it to end, and kills it where it does not within 5 s. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProgramOutput> {
    if (this.child.exitCode === null) this.child.kill(signal);
    return this.end(5000);
  }
}

/** Runs a program to its end, whatever its exit code. */
export async function run(
  command: string,
  args: string[],
  options: SpawnOptions & { input?: string; limit?: number } = {},
): Promise<ProgramOutput> {
  const { input, limit, ...rest } = options;
  const program = new Program(command, args, rest);
  program.child.stdin?.end(input ?? '');
  return program.end(limit);
}

/** As `run`, but an exit code other than 0 is an error that shows what was printed. */
export async function must(...[command, args, options]: Parameters<typeof run>): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, args, options);
  const end = exitCode === null ? 'killed by a signal' : `exit code ${exitCode}`;
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: ${end}: ${stdout}${stderr}`);
  return stdout;
}

/** Kills all programs that run, without waiting: for exit handlers. */
export function killAll(): void {
  for (const program of running) program.child.kill('SIGKILL');
}

/** Kills all programs that run, and waits for their end. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((program) => program.stop('SIGKILL')));
}

/** Whether a process runs, by its id; one that has ended but was not yet collected by its parent does not. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await startOf(pid)) !== undefined;
}

/** When a process started, or undefined where it has ended. */
export async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined ? undefined : startIn(stat);
}

/**
 * @param stat of proc_pid_stat(5): fields 3, 20 and 22 are state, number of threads and start
 * @returns when the process started; undefined where it has ended. As long as a thread is left, the first may have
 *   ended already, its files are open and its ports taken.
 */
export function startIn(stat: string): string | undefined {
  // The second field is the program's name in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = 'X', threads, start] = [fields[0], Number(fields[17]), fields[19]];
  return state === 'X' || (state === 'Z' && threads <= 1) ? undefined : start;
}

/** Kills processes, also such as this program has not started; those that have ended are left out. */
export function killPids(pids: number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}
