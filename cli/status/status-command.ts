// `kubectl invalid-drop status`: the installation, its self-checks, coverage, and whether a new pod would be guarded.
import { setTimeout as wait } from 'node:timers/promises';
import { duration, durationMs } from '../../lib/options.ts';
import { defineCommand, EXIT } from '../cli-command.ts';
import { formatResult } from '../output.ts';
import { readStatus } from './read-status.ts';
import { type StatusReport, statusExit, statusTable } from './status-report.ts';

const PAUSE_MS = 500;

export const STATUS_OPTIONS = {
  timeout: duration({
    env: 'INVALID_DROP_STATUS_TIMEOUT',
    help: 'With --wait: for how long.',
    default: '120s',
  }),
};

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'says whether the installation works, and whether a new pod would be guarded',
  usage: `Usage: kubectl invalid-drop status [--wait [--timeout 120s]] [-n NAMESPACE] [-o table|json|yaml]

Asks for the Deployment of the webhook, its configuration, the node agents, the self-check of each replica and coverage, and sends a pod
through the API server as a dry run, three times on new connections: into NAMESPACE, or the first opted-in namespace that allows it.
Nothing is stored. Exit 0: all is well. 1: something is not. 2: nothing is seen to be wrong, but a part cannot be asked.`,
  options: STATUS_OPTIONS,
  switches: {
    wait: 'Wait until all is well, at most for --timeout: use it after an install, before pods are created.',
  },
  positionals: 0,
  async run({ values, given }, context) {
    const ask = () => readStatus(context.connect, values.namespace);
    const report = given.has('wait') ? await untilWell(ask, durationMs(values.timeout), context) : await ask();
    context.print(await formatResult(values.output, report, () => statusTable(report)));
    return context.stop.aborted ? EXIT.cannot : statusExit(report);
  },
});

interface Waiting {
  progress: ((text: string) => void) | undefined;
  stop: AbortSignal;
}

/** Asks again and again while something is not well. @param limit milliseconds @returns the last report */
export async function untilWell(
  ask: () => Promise<StatusReport>,
  limit: number,
  { progress, stop }: Waiting,
  clock = {
    now: () => performance.now(),
    wait: (ms: number) => wait(ms, undefined, { signal: stop }) as Promise<unknown>,
  },
): Promise<StatusReport> {
  const end = clock.now() + limit;
  let told = '';
  for (;;) {
    const report = await ask();
    const first = report.parts.find(({ state }) => state === 'not-well');
    if (first === undefined || clock.now() >= end || stop.aborted) return report;
    const text = `${first.part}: ${first.detail}\n`;
    if (text !== told) progress?.(`waiting: ${text}`);
    told = text;
    await clock.wait(PAUSE_MS).catch(() => undefined);
  }
}
