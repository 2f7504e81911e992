// `webhook.js guard`: puts the rule into pods that run already. Wires only.
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { CodedError } from '../../lib/errors.ts';
import { durationMs, helpText } from '../../lib/options.ts';
import { reasonOf } from '../cluster/api-error.ts';
import type { OperatorClient } from '../cluster/cluster-client.ts';
import { readSettings } from './deployed-settings.ts';
import { guardAll } from './guard-all.ts';
import { GUARD_OPTIONS, type GuardArguments, namedTargets, readGuardArguments } from './guard-options.ts';
import type { Target } from './guard-outcomes.ts';
import { guardPod } from './guard-pod.ts';
import { exitCodeOf, resultLine, resultTable } from './guard-table.ts';
import { listPods } from './list-pods.ts';

export const GUARD_USAGE = `Usage: webhook.js guard NAMESPACE/POD... [options]
       webhook.js guard POD... --namespace NAMESPACE [options]
       webhook.js guard --namespace NAMESPACE [options]

Adds an ephemeral container to pods that run already. It drops INVALID packets there, verifies that they are dropped, and
ends. Nothing is restarted. Exit 0: all pods are guarded. 1: some are not. 2: an argument is wrong.
  --dry-run  change nothing: ask the API server whether it would take the container
  --stay     leave a checker in each pod, in a second container
  --help     print this`;

export interface Surroundings {
  env: Record<string, string | undefined>;
  /** The library is large: it is loaded only when there is something to do. */
  connect(kubeconfig: string, context: string): Promise<OperatorClient>;
  print(text: string): void;
  /** For a person at a terminal; undefined where there is none. */
  progress: ((text: string) => void) | undefined;
  /** What is not a result, and must not be lost in a pipe. */
  note(text: string): void;
  /** Fires when no other pod is to be begun. */
  stop: AbortSignal;
}

/**
 * @param argv arguments after `guard`
 * @returns exit code
 * @throws CodedError where an argument is wrong, or does not do in this cluster
 */
export async function guardCommand(argv: string[], around: Surroundings): Promise<number> {
  const args = readGuardArguments(argv, around.env);
  if (args.given.has('help')) {
    around.print(helpText(GUARD_USAGE, GUARD_OPTIONS));
    return 0;
  }
  const named = namedTargets(args.pods, args.values.namespace);
  const client = await around.connect(kubeconfigOf(args, around.env), args.values.context);
  try {
    const results = await guardTargets(named, client, args, around);
    around.print(resultTable(results));
    return exitCodeOf(results);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    around.note(`the API server does not say what is needed to begin: ${reasonOf(error)}`);
    return 1;
  }
}

async function guardTargets(named: Target[], client: OperatorClient, args: GuardArguments, around: Surroundings) {
  const { values, given } = args;
  const settings = await readSettings(client, values.image, around.note);
  const targets = named.length > 0 ? named : await listPods(client, values.namespace);
  const guarding = {
    client,
    settings,
    stay: given.has('stay'),
    dryRun: given.has('dry-run'),
    timeout: durationMs(values.timeout),
    clock: { now: Date.now, wait },
  };
  return guardAll(targets, {
    concurrency: values.concurrency,
    maxFailures: values['max-failures'],
    stop: around.stop,
    guard: (target) => guardPod(target, guarding),
    tell: (result, done) => around.progress?.(`${resultLine(result, done, targets.length)}\n`),
  });
}

function kubeconfigOf({ values }: GuardArguments, env: Surroundings['env']): string {
  return values.kubeconfig || join(env['HOME'] ?? '/', '.kube', 'config');
}
