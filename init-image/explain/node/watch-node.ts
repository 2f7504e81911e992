// `check --explain --node`: reports every reset that the node's kernel sends, with its pod and its cause.
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { errors } from '../../../lib/errors.ts';
import { printableJson } from '../../../lib/printable.ts';
import { type ClassifiedReset, classifyReset } from '../../../lib/resets/classified-reset.ts';
import { makeNamespaceTracker, type NamespaceTracker } from '../../../lib/resets/namespace-tracker.ts';
import { namespaceOf, readCountersOf, scanNamespaces } from '../../../lib/resets/node-namespaces.ts';
import { KINDS } from '../../../lib/resets/reset-kind.ts';
import { openTrace, type TraceInstance } from '../../../lib/resets/trace-instance.ts';
import { parseLine, type Reset } from '../../../lib/resets/trace-line.ts';
import { CLEAR } from '../explain.ts';
import { makeSummary, resetData, resetText, summaryText } from './reset-report.ts';

export interface WatchOptions {
  seconds: number;
  /** One JSON object a line instead of text. */
  json: boolean;
  write: (text: string) => void;
  /** Shows how many seconds are left; absent without a terminal. */
  progress?: ((text: string) => void) | undefined;
  /** Ends the watch early; the summary is still written. */
  stop: AbortSignal;
  /** Id of this process, for the name of its instance of tracefs. */
  pid: number;
}

/** Milliseconds between reads of the kernel's buffer. */
const PERIOD = 100;
/** Lines of the kernel's buffer that are read each time, so that the time limit also holds under very many resets. */
const MOST_READ = 3000;
/** Kilobytes of the buffer of each CPU: room for some thousand resets between two reads. */
const BUFFER_KB = 512;
/** How many resets get a line of their own; later ones are only in the summary. */
const MAX_LINES = 1000;
/** Of the instance of tracefs: the id of the process follows. */
const PREFIX = 'invalid-drop-';

/**
 * Watches for the given time, and writes a line for each reset of a pod and a summary of all resets.
 * @returns the exit code: 1 where a reset of the kind that the rule prevents was seen, else 0
 * @throws CodedError TRACING_UNAVAILABLE
 */
export async function watchNode(options: WatchOptions): Promise<number> {
  const tracker = makeNamespaceTracker(scanNamespaces, readCountersOf, () => performance.now());
  const name = `${PREFIX}${options.pid}`;
  const trace = await openTrace({ name, isLeftover, bufferKb: BUFFER_KB }).catch((error: Error) => {
    throw errors.TRACING_UNAVAILABLE(error.message);
  });
  try {
    return await watch(trace, tracker, options);
  } finally {
    options.progress?.(CLEAR);
    await trace.close();
  }
}

/** Instances of earlier runs that were killed. */
function isLeftover(name: string): boolean {
  const [, pid] = name.match(/^invalid-drop-(\d+)$/) ?? [];
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}

async function watch(trace: TraceInstance, tracker: NamespaceTracker, options: WatchOptions): Promise<number> {
  const { seconds, json, write, progress, stop } = options;
  const started = performance.now();
  const report = makeReport(json, (text) => {
    progress?.(CLEAR);
    write(text);
  });
  report.begin(trace, tracker, seconds);
  for (let over = false; !over; ) {
    await wait(PERIOD, undefined, { signal: stop }).catch(() => undefined);
    const left = Math.ceil(seconds - (performance.now() - started) / 1000);
    over = stop.aborted || left <= 0;
    progress?.(`\rwatching: ${Math.max(0, left)} s left `);
    const lines = trace.readLines(MOST_READ);
    if (lines.length > 0) tracker.refresh();
    for (const line of lines) take(parseLine(line), tracker, report);
  }
  return report.end((performance.now() - started) / 1000);
}

function take(event: ReturnType<typeof parseLine>, tracker: NamespaceTracker, report: Report): void {
  if (!event) return;
  if ('lost' in event) report.lost(event.lost);
  else report.add(classifyReset(event, { ...tracker, seesAll: true, processNamespace }));
}

function processNamespace({ pid }: Reset): string | undefined {
  return namespaceOf(String(pid));
}

type Report = ReturnType<typeof makeReport>;

function makeReport(json: boolean, write: (text: string) => void) {
  const summary = makeSummary();
  let [lines, lost, bugs] = [0, 0, 0];
  const put = (text: string, data: unknown) => write(json ? `${printableJson(data)}\n` : text);
  return {
    begin({ format }: TraceInstance, tracker: NamespaceTracker, seconds: number): void {
      const namespaces = tracker.namespaces().length;
      const limits = format.reason ? '' : 'This kernel reports no reasons and no resets without a socket.\n';
      const text = `Watching the resets of ${namespaces} network namespaces for ${seconds} s.\n${limits}`;
      put(text, { watching: { namespaces, seconds, ...format } });
    },
    add(classified: ClassifiedReset): void {
      summary.add(classified);
      if (KINDS[classified.kind].bug) bugs++;
      // Resets of the node's own programs are only in the summary.
      const isNode = classified.origin.candidates.some((one) => one.isNode);
      if (isNode || ++lines > MAX_LINES) return;
      const now = new Date();
      put(`${resetText(classified, now)}\n`, { reset: resetData(classified, now) });
    },
    lost(events: number): void {
      lost += events;
    },
    end(seconds: number): number {
      put(summaryText(summary.rows(), Math.round(seconds), lost), {
        summary: summary.rows(),
        seconds,
        lost,
        thisBug: bugs,
      });
      return bugs > 0 ? 1 : 0;
    },
  };
}
