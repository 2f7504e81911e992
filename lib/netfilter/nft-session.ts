// One `nft -j -i` that stays and is asked again: to start a new one for each look costs five times the CPU.
import type { ChildProcess } from 'node:child_process';
import type { Finished } from '../command.ts';

/**
 * A table with flags. nft before 1.0.7 prints them from memory that it has freed: its answer may end there, a later one
 * may be wrong, and after some hundreds it dies. A new process gets them right.
 */
const TABLE_FLAGS = /\{"table": \{"family": "\w+", "name": "[^"]*", "handle": \d+, "flags"/;

/** Starts nft: see startDialogue. Given from outside, so that a test can answer in its place. */
export type StartNft = (onText: (text: string) => void, onTrouble: () => void) => ChildProcess;

export class NftSession {
  private child: ChildProcess | undefined;
  private answer: ((finished: Finished | undefined) => void) | undefined;
  private text = '';
  private readonly launch: StartNft;
  private readonly timeout: number;

  /** @param timeout milliseconds for an answer */
  constructor(launch: StartNft, timeout: number) {
    this.launch = launch;
    this.timeout = timeout;
  }

  /**
   * Asks for the ruleset, as `nft -j list ruleset` would print it. nft reads it anew from the kernel each time (1.0.0
   * and later: NFT_CACHE_REFRESH), counters included.
   * @returns undefined where there is no sure answer: nft complained, ended, took too long or is being asked already.
   *   Then a new nft must be run; the next call starts a new session. Never throws.
   */
  list(): Promise<Finished | undefined> {
    if (this.answer) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.fail(), this.timeout);
      this.answer = (finished) => {
        clearTimeout(timer);
        this.answer = undefined;
        this.text = '';
        resolve(finished);
      };
      this.child ??= this.start();
      this.child.stdin?.write('list ruleset\n');
    });
  }

  stop(): void {
    this.fail();
  }

  private start(): ChildProcess {
    const child = this.launch(
      (text) => {
        if (this.child === child) this.receive(text);
      },
      () => {
        if (this.child === child) this.fail();
      },
    );
    child.stdin?.on('error', () => undefined);
    return child;
  }

  /** An answer is one line: what comes after its end, in the same read or a later one, nobody asked for. */
  private receive(piece: string): void {
    this.text += piece;
    const end = this.text.indexOf('\n');
    if (end === -1) return;
    const { text, answer } = this;
    const isOne = end === text.length - 1;
    if (answer && isOne) answer({ exitCode: 0, stdout: text, stderr: '' });
    if (!answer || !isOne || TABLE_FLAGS.test(text)) this.fail();
  }

  /** What this nft says after a trouble could belong to an earlier question: it is not asked again. */
  private fail(): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
    this.text = '';
    this.answer?.(undefined);
  }
}
