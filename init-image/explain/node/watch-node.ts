// `check --explain --node`: every reset that the node's kernel sends, with the pod it came from and what it was for.
import { setTimeout as wait } from 'node:timers/promises';
import { CLEAR } from '../explain.ts';
import { type Census, makeCensus } from './namespace-tracker.ts';
import { namespaceOf, readCounts, scanNamespaces } from './node-namespaces.ts';
import { classify, KINDS } from './reset-kind.ts';
import { placeOf } from './reset-origin.ts';
import { type Finding, findingData, findingText, makeTable, summaryText } from './reset-report.ts';
import { openTrace, type TraceInstance } from './trace-instance.ts';
import { parseLine, type Reset } from './trace-line.ts';

export interface WatchOptions {
  seconds: number;
  json: boolean;
  write: (text: string) => void;
  progress?: ((text: string) => void) | undefined;
  /** Ends the watch before its time, with its summary. */
  stop: AbortSignal;
  /** Id of this process, for the name of what it makes in tracefs. */
  pid: number;
}

/** Milliseconds from one read of the kernel's buffer to the next. */
const PERIOD = 100;
/** More resets than these are counted in the summary only. */
const MAX_LINES = 1000;

/**
 * Watches for the given time.
 * @returns the exit code: 1 where a reset of the kind that the rule prevents was seen, else 0
 * @throws CodedError TRACING_UNAVAILABLE
 */
export async function watchNode(options: WatchOptions): Promise<number> {
  const census = makeCensus(scanNamespaces, readCounts, Date.now);
  const trace = await openTrace(options.pid);
  try {
    return await watch(trace, census, options);
  } finally {
    options.progress?.(CLEAR);
    await trace.close();
  }
}

async function watch(trace: TraceInstance, census: Census, options: WatchOptions): Promise<number> {
  const { seconds, json, write, progress, stop } = options;
  const started = Date.now();
  const report = makeReport(json, (text) => {
    progress?.(CLEAR);
    write(text);
  });
  report.begin(trace, census, seconds);
  let rest = '';
  for (let over = false; !over; ) {
    await wait(PERIOD, undefined, { signal: stop }).catch(() => undefined);
    const left = Math.ceil(seconds - (Date.now() - started) / 1000);
    over = stop.aborted || left <= 0;
    progress?.(`\rwatching: ${Math.max(0, left)} s left `);
    const lines = (rest + trace.read()).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) census.refresh();
    for (const line of lines) take(parseLine(line), census, report);
  }
  return report.end((Date.now() - started) / 1000);
}

function take(event: ReturnType<typeof parseLine>, census: Census, report: Report): void {
  if (!event) return;
  if ('lost' in event) report.lost(event.lost);
  else report.add(investigate(event, census));
}

function investigate(reset: Reset, census: Census): Finding {
  const place = placeOf(reset, census.namespaces(), reset.active ? namespaceOf(String(reset.pid)) : undefined);
  const kind = classify(reset, place.candidates);
  const [only] = place.candidates.filter(({ invalidGrew }) => (invalidGrew ?? 0) > 0);
  if (KINDS[kind].bug && only) census.explained(only.id);
  return { reset, kind, place };
}

type Report = ReturnType<typeof makeReport>;

function makeReport(json: boolean, write: (text: string) => void) {
  const table = makeTable();
  let [lines, lost, bugs] = [0, 0, 0];
  const put = (text: string, data: unknown) => write(json ? `${JSON.stringify(data)}\n` : text);
  return {
    begin({ format }: TraceInstance, census: Census, seconds: number): void {
      const namespaces = census.namespaces().length;
      const blind = format.reason ? '' : ' This kernel tells no reasons, and shows no reset without a socket.\n';
      const text = `Watching the resets of ${namespaces} network namespaces for ${seconds} s.\n${blind}`;
      put(text, { watching: { namespaces, seconds, ...format } });
    },
    add(finding: Finding): void {
      table.add(finding);
      if (KINDS[finding.kind].bug) bugs++;
      // What the node's own programs reset is in the summary.
      const isNode = finding.place.candidates.some((one) => one.isNode);
      if (isNode || ++lines > MAX_LINES) return;
      const now = new Date();
      put(`${findingText(finding, now)}\n`, { reset: findingData(finding, now) });
    },
    lost(events: number): void {
      lost += events;
    },
    end(seconds: number): number {
      put(summaryText(table.rows(), Math.round(seconds), lost), {
        summary: table.rows(),
        seconds,
        lost,
        thisBug: bugs,
      });
      return bugs > 0 ? 1 : 0;
    },
  };
}
