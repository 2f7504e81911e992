// Keeps a program running that prints each change of the nft ruleset as the kernel reports it, and perhaps the exemption's
// alarm. iptables-legacy sends no events.
import type { ChildProcess } from 'node:child_process';
import type { Log } from '../log.ts';
import { anonymousMemory } from '../memory-budget.ts';
import { ALARM_QUOTA, EXEMPTION_TABLE } from '../netfilter/nft-statement.ts';

/** One committed change of the ruleset. */
export interface RulesetChange {
  /** Name and id of the process that made it, as the kernel gives them; null where it does not. */
  process: string | null;
  pid: number | null;
  /** The first few lines of what it did, as the monitor prints them. */
  lines: string[];
}

const FIRST_DELAY = 1000;
const LAST_DELAY = 60_000;

/** Prints each change with the process that made it, and keeps nothing: 0.2 MB. It writes to a pipe in large pieces. */
export const CHANGE_MONITOR = ['stdbuf', '-oL', 'xtables-monitor', '--event'] as const;
/** Prints the alarm too, which no other program does, and keeps the whole ruleset. */
export const ALARM_MONITOR = ['nft', 'monitor'] as const;

/** `nft monitor` takes 3.3 MB beside Istio's rules, 34 MB beside 8,000. Checks come more often without. */
export const ALARM_MONITOR_MEMORY = 8 * 1024 ** 2;
/** Milliseconds until a ruleset that was too large may have become small. */
const TOO_LARGE_DELAY = 600_000;
/** Looks at its memory while it loads the ruleset: how many, and milliseconds between them. */
const [LOOKS, LOOK_PERIOD] = [100, 20];

/** Starts the program: see startCommand. A parameter, so that a test can end it. */
export type StartMonitor = (onText: (text: string) => void, onEnd: (how: string) => void) => ChildProcess;

export class NftMonitor {
  running = false;
  /** How often it was started again. */
  restarts = 0;
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private looks: NodeJS.Timeout | undefined;
  private delay = FIRST_DELAY;
  /** Why it was ended for its memory. */
  private tooLarge: string | undefined;
  private readonly launch: StartMonitor;
  private readonly onChange: (changes: RulesetChange[]) => void;
  private readonly onAlarm: () => void;
  private readonly log: Log;
  private readonly maxMemory: number | undefined;

  /**
   * @param onChange called for each change; with an empty list when events may have been missed
   * @param onAlarm called when the exemption's table has raised the alarm
   * @param maxMemory bytes beyond which it is ended, of a program that keeps the ruleset
   */
  constructor(
    launch: StartMonitor,
    onChange: (changes: RulesetChange[]) => void,
    onAlarm: () => void,
    log: Log,
    maxMemory?: number,
  ) {
    this.launch = launch;
    this.onChange = onChange;
    this.onAlarm = onAlarm;
    this.log = log;
    this.maxMemory = maxMemory;
  }

  start(): void {
    const parse = makeMonitorParser();
    this.running = true;
    this.child = this.launch(
      (text) => {
        // It works: a later end is a new one.
        this.delay = FIRST_DELAY;
        const { changes, alarm } = parse(text);
        if (changes.length > 0) this.onChange(changes);
        if (alarm) this.onAlarm();
      },
      (how) => this.ended(this.tooLarge ?? how),
    );
    if (this.maxMemory === undefined) return;
    let looks = 0;
    this.looks = setInterval(() => {
      this.limitMemory();
      if (++looks === LOOKS) clearInterval(this.looks);
    }, LOOK_PERIOD);
    this.looks.unref();
  }

  /** Ends it where the ruleset has grown too large; for a caller that knows of a change. */
  limitMemory(): void {
    const pid = this.child?.pid;
    if (!this.running || pid === undefined || this.maxMemory === undefined) return;
    if (anonymousMemory(pid) <= this.maxMemory) return;
    this.tooLarge = `it took more than ${this.maxMemory / 1024 ** 2} MiB: the ruleset is very large`;
    this.child?.kill('SIGKILL');
  }

  stop(): void {
    clearTimeout(this.timer);
    clearInterval(this.looks);
    this.child?.removeAllListeners('exit');
    this.child?.removeAllListeners('error').on('error', () => undefined);
    this.child?.kill('SIGKILL');
    this.running = false;
  }

  private ended(how: string): void {
    if (!this.running) return;
    this.running = false;
    clearInterval(this.looks);
    if (this.tooLarge) this.delay = TOO_LARGE_DELAY;
    this.tooLarge = undefined;
    this.log('warn', 'monitor-ended', {
      message: `the monitor of the ruleset ended: ${how}`,
      retryInSeconds: this.delay / 1000,
    });
    // Also because the next check is as far away as checks are while it runs.
    this.onChange([]);
    this.timer = setTimeout(() => {
      this.restarts++;
      this.start();
      this.onChange([]);
    }, this.delay);
    this.delay = Math.min(this.delay * 2, LAST_DELAY);
  }
}

const MAX_LINES = 5;
/** Characters of a line that are kept: one may have all elements of a set. */
const MAX_LINE = 2000;
/**
 * `# new generation 3 by process 3389 (iptables-nft)` (nft 0.8 or later); the process is missing in older ones. A process
 * that names itself with a line end ends the line early.
 */
const GENERATION = /^# new generation \d+(?: by process (\d+) \((.*?)\)?)?$/;
/** The same of `xtables-monitor --event`: `NEWGEN: GENID=20 PID=5737 NAME=nft`. */
const NEWGEN = /^NEWGEN: GENID=\d+ PID=(\d+) NAME=(.*)$/;
/** Where the kernel's buffer was full: the change that is not told of may be the last one. xtables-monitor ends then. */
const LOST = '# ERROR: We lost some netlink events!';
/** The kernel gives the packet's family, not the table's. What was used is missing when the table is put in. */
const ALARM = new RegExp(`^add quota \\S+ ${EXEMPTION_TABLE.split(' ')[1]} ${ALARM_QUOTA} \\{ over 1 bytes used`);

/** What a piece of nft's output tells. */
export interface MonitorReport {
  /** The changes that it completes. */
  changes: RulesetChange[];
  /** Whether the exemption's table has raised the alarm. */
  alarm: boolean;
}

/** A parser that keeps what is not yet a whole line, or a whole change. */
export function makeMonitorParser(): (text: string) => MonitorReport {
  let rest = '';
  let lines: string[] = [];
  return (text) => {
    const parts = (rest + text).split('\n');
    rest = (parts.pop() ?? '').slice(0, MAX_LINE);
    const report: MonitorReport = { changes: [], alarm: false };
    for (const printed of parts) {
      const line = printed.replace(/^ EVENT: /, '');
      const generation = line.match(GENERATION) ?? line.match(NEWGEN);
      if (generation) {
        const [, pid, process = null] = generation;
        report.changes.push({ process, pid: pid ? Number(pid) : null, lines });
        lines = [];
      } else if (line === LOST) {
        report.changes.push({ process: null, pid: null, lines: [line] });
      } else if (ALARM.test(line)) {
        report.alarm = true;
      } else if (line !== '' && lines.length < MAX_LINES) {
        lines.push(line.slice(0, MAX_LINE));
      }
    }
    return report;
  };
}
