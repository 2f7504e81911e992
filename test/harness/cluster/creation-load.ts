// A steady load of pod creations. They are dry runs: admission is real, and nothing is stored.
import { setTimeout as wait } from 'node:timers/promises';
import { ApiError, reasonOf } from '../../../lib/cluster/api-error.ts';
import { type ClusterClient, connectCluster } from '../../../lib/cluster/cluster-client.ts';
import { renderTable } from '../../../lib/text-table.ts';
import { barePod, isInjected, type Pod } from './pod-status.ts';

const WORKERS = 4;
const PAUSE_MS = 40;

export interface LoadPhase {
  name: string;
  created: number;
  /** Refused, since the webhook did not answer correctly (failurePolicy Fail). */
  failed: number;
  /** Created without our containers. */
  missed: number;
  /** The API server itself did not answer. */
  unreachable: number;
  /** Milliseconds from the first failure to the last. */
  recoveryMs: number;
  /** Text of one failure. */
  example: string;
}

/** Runs until it is stopped. It counts in the phase that was begun last. */
export function startLoad(namespace: string) {
  const client = connectCluster(process.env['KUBECONFIG'] ?? '');
  const phases: LoadPhase[] = [];
  let stopped = false;
  let firstFailure = 0;

  function begin(name: string): LoadPhase {
    const phase = { name, created: 0, failed: 0, missed: 0, unreachable: 0, recoveryMs: 0, example: '' };
    firstFailure = 0;
    phases.push(phase);
    return phase;
  }

  async function work(): Promise<void> {
    while (!stopped) {
      const phase = phases.at(-1) ?? begin('start');
      const failure = await createOne(client, namespace, phase);
      if (failure !== '') {
        firstFailure ||= Date.now();
        phase.recoveryMs = Date.now() - firstFailure;
        phase.example ||= failure;
      }
      await wait(PAUSE_MS);
    }
  }

  begin('start');
  const workers = Array.from({ length: WORKERS }, work);
  return {
    begin,
    phases,
    async stop(): Promise<void> {
      stopped = true;
      await Promise.all(workers);
    },
  };
}

/** @returns what went wrong; '' where nothing did */
async function createOne(client: ClusterClient, namespace: string, phase: LoadPhase): Promise<string> {
  try {
    const pod = barePod(namespace, 'load');
    const stored = (await client.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod)) as unknown as Pod;
    phase.created += 1;
    if (isInjected(stored)) return '';
    phase.missed += 1;
    return 'created without our containers';
  } catch (error) {
    if (error instanceof ApiError && /webhook/.test(error.message)) phase.failed += 1;
    else phase.unreachable += 1;
    return reasonOf(error);
  }
}

const HEADINGS = ['phase', 'creations', 'failed', 'missed', 'API server away', 'from first to last failure'];

/** The phases as a table for people. @returns its lines */
export function phaseTable(phases: LoadPhase[]): string[] {
  const rows = phases.map(({ name, created, failed, missed, unreachable, recoveryMs }) => [
    ...[name, created + failed, failed, missed, unreachable],
    `${recoveryMs} ms`,
  ]);
  return renderTable(HEADINGS, rows).split('\n');
}
