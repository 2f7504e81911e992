// Counts every reset that the node's kernel sends, by pod and cause, for as long as the agent runs.
import { errors } from '../../lib/errors.ts';
import { ErrorLog, type Log } from '../../lib/log.ts';
import { openTrace, type TraceInstance } from '../../lib/resets/trace-instance.ts';
import { parseLine, type Reset } from '../../lib/resets/trace-line.ts';
import type { ResetCounts } from './reset-counts.ts';
import { ResetJudge } from './reset-judge.ts';
import type { WatchedNamespace } from './watched-namespace.ts';

/** Name of the agent's instance of tracefs: a node has one agent at a time. */
export const AGENT_INSTANCE = 'invalid-drop-agent';
/** Milliseconds between reads: while there are few resets, and while there are so many that the buffer may overflow. */
const [USUAL, BUSY] = [1000, 250];
/** Lines of one read from which on there are many. */
const MANY_LINES = 300;
/** Lines of one read, so that a storm of resets takes a fixed part of a CPU. The kernel drops and counts what remains. */
const MOST_LINES = 2000;
/** Kilobytes of the buffer of each CPU: room for 1300 resets between two reads, and a node may have very many CPUs. */
const BUFFER_KB = 128;
/** Milliseconds until the watch is tried again where the kernel cannot be watched. */
const RETRY = 60_000;

export interface ResetWatchOptions {
  /** The pods that the agent guards, or is about to guard. Asked up to four times a second. */
  namespaces(): WatchedNamespace[];
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
  /** Name of the instance of tracefs. */
  instance?: string;
}

export class ResetWatch {
  private readonly options: ResetWatchOptions;
  private readonly judge: ResetJudge;
  private readonly errorLog: ErrorLog;
  private trace: TraceInstance | undefined;
  private opening: Promise<void> | undefined;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;
  private problem: string | null = 'the watch has not begun';
  private lost = 0;
  /** What is read next was sent after this time. */
  private readUpTo = 0;

  constructor(options: ResetWatchOptions) {
    this.options = options;
    this.judge = new ResetJudge(options.log, options.now);
    this.errorLog = new ErrorLog(options.log);
  }

  /** Begins to watch, and tries again each minute where that is not possible. Never throws. */
  start(): Promise<void> {
    this.opening = this.open();
    return this.opening;
  }

  /** Ends the watch and removes its instance of tracefs. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.opening;
    await this.close();
  }

  counts(): ResetCounts {
    return { watching: this.trace !== undefined, problem: this.problem, resets: this.judge.counts(), lost: this.lost };
  }

  private async open(): Promise<void> {
    const { instance = AGENT_INSTANCE, log } = this.options;
    try {
      const isLeftover = (name: string) => name === instance;
      this.trace = await openTrace({ name: instance, isLeftover, bufferKb: BUFFER_KB });
      this.problem = null;
      this.errorLog.recovered();
      this.readUpTo = this.options.now();
      this.judge.take([], this.options.namespaces(), this.readUpTo, this.readUpTo);
      const { state, reason } = this.trace.format;
      log('info', 'resets-watched', { reportsStates: state, reportsReasons: reason });
      this.schedule(() => this.tick(), USUAL);
    } catch (error) {
      await this.fail(error);
    }
  }

  private async fail(error: unknown): Promise<void> {
    this.problem = error instanceof Error ? error.message : String(error);
    this.errorLog.note('resets-not-watched', errors.RESETS_NOT_WATCHED(this.problem));
    await this.close();
    this.schedule(() => {
      this.opening = this.open();
    }, RETRY);
  }

  private async close(): Promise<void> {
    const trace = this.trace;
    this.trace = undefined;
    await trace?.close().catch((error: unknown) => this.errorLog.note('resets-instance-left', error));
  }

  private schedule(task: () => void, milliseconds: number): void {
    if (!this.stopped) this.timer = setTimeout(task, milliseconds);
  }

  private tick(): void {
    try {
      const now = this.options.now();
      const lines = this.trace?.readLines(MOST_LINES) ?? [];
      const resets = this.parse(lines);
      this.judge.take(resets, this.options.namespaces(), this.readUpTo, now);
      // Where some remain in the buffer, the next to be read are as old as these.
      if (lines.length < MOST_LINES) this.readUpTo = now;
      this.schedule(() => this.tick(), lines.length >= MANY_LINES ? BUSY : USUAL);
    } catch (error) {
      this.opening = this.fail(error);
    }
  }

  private parse(lines: string[]): Reset[] {
    const events = lines.flatMap((line) => parseLine(line) ?? []);
    for (const event of events) if ('lost' in event) this.lost += event.lost;
    return events.flatMap((event) => ('lost' in event ? [] : [event]));
  }
}
