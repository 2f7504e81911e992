// Keeps `nft monitor` running: the kernel's word that the ruleset has changed. iptables-legacy sends none.
import type { ChildProcess } from 'node:child_process';
import type { Log } from '../../lib/log.ts';
import { type Change, makeMonitorParser } from './monitor-text.ts';

const FIRST_DELAY = 1000;
const LAST_DELAY = 60_000;

/** Starts the program: see startCommand. Given from outside, so that a test can end it. */
export type Start = (onText: (text: string) => void, onEnd: (how: string) => void) => ChildProcess;

export class Monitor {
  running = false;
  /** How often it was started again. */
  restarts = 0;
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private delay = FIRST_DELAY;
  private readonly launch: Start;
  private readonly onChange: (changes: Change[]) => void;
  private readonly log: Log;

  /** @param onChange called for each change; with an empty list when events may have been missed */
  constructor(launch: Start, onChange: (changes: Change[]) => void, log: Log) {
    this.launch = launch;
    this.onChange = onChange;
    this.log = log;
  }

  start(): void {
    const parse = makeMonitorParser();
    this.running = true;
    this.child = this.launch(
      (text) => {
        // It works: a later end is a new one.
        this.delay = FIRST_DELAY;
        const changes = parse(text);
        if (changes.length > 0) this.onChange(changes);
      },
      (how) => this.ended(how),
    );
  }

  stop(): void {
    clearTimeout(this.timer);
    this.child?.removeAllListeners('exit');
    this.child?.removeAllListeners('error');
    this.child?.kill('SIGKILL');
    this.running = false;
  }

  private ended(how: string): void {
    if (!this.running) return;
    this.running = false;
    this.log('warn', 'monitor-ended', { message: `nft monitor ended: ${how}`, retryInSeconds: this.delay / 1000 });
    this.timer = setTimeout(() => {
      this.restarts++;
      this.start();
      this.onChange([]);
    }, this.delay);
    this.delay = Math.min(this.delay * 2, LAST_DELAY);
  }
}
