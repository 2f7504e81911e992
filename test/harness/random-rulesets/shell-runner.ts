// A shell that stays and runs programs in place of Node, which takes two thirds of a program's time to start it where
// a machine is emulated.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { ProgramOutput, RunCommand } from '../../../lib/command.ts';
import { errors } from '../../../lib/errors.ts';

/** A line is a program with its arguments. Input and output are files, and the answer is the exit code. */
const SCRIPT = 'while read -r line; do $line < in > out 2> err; echo $?; done';

/** Runs one program after the other, with the environment that it was made with. */
export class Runner {
  private readonly folder = mkdtempSync(`${tmpdir()}/invalid-drop-runner-`);
  private readonly shell;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(env: NodeJS.ProcessEnv) {
    // In a group of its own, so that a program can be ended with it.
    const options = { env, cwd: this.folder, detached: true };
    this.shell = spawn('sh', ['-c', SCRIPT], { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
    process.once('exit', () => {
      this.kill();
      rmSync(this.folder, { recursive: true });
    });
  }

  /**
   * As `runCommand`, but no argument may hold a space, and a program that is missing has exit code 127. One that takes
   * too long is the last: its answer could be taken for another's.
   */
  readonly run: RunCommand = (command, args, { timeout, input = '' }) => {
    const finished = this.queue.then(() => this.runNow([command, ...args].join(' '), input, timeout));
    this.queue = finished.catch(() => undefined);
    return finished;
  };

  end(): void {
    this.shell.stdin.end();
  }

  private runNow(line: string, input: string, timeout: number): Promise<ProgramOutput> {
    writeFileSync(`${this.folder}/in`, input);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.kill();
        reject(errors.COMMAND_TIMEOUT(line, timeout));
      }, timeout);
      this.shell.stdout.once('data', (code) => {
        clearTimeout(timer);
        const [stdout = '', stderr = ''] = ['out', 'err'].map((name) => readFileSync(`${this.folder}/${name}`, 'utf8'));
        resolve({ exitCode: Number(code), stdout, stderr });
      });
      this.shell.stdin.write(`${line}\n`);
    });
  }

  private kill(): void {
    const { pid, exitCode, signalCode } = this.shell;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  }
}
