// `webhook.js guard`: puts the rule into pods that run already.
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient, OperatorClient } from '../../lib/cluster/cluster-client.ts';
import { listPages } from '../../lib/cluster/reflector.ts';
import type { NodeMode } from '../../lib/contract.ts';
import { CodedError } from '../../lib/errors.ts';
import { isObject, isTextMap, objectAt, shortText } from '../../lib/json.ts';
import { durationMs, helpText } from '../../lib/options.ts';
import { placementOf } from '../../lib/pod/placement.ts';
import { readSettings } from './deployed-settings.ts';
import { GUARD_OPTIONS, type GuardArguments, namedTargets, readGuardArguments } from './guard-options.ts';
import { exitCodeOf, type GuardResult, type GuardTarget, kindOf, resultLine, resultTable } from './guard-outcomes.ts';
import { type GuardOptions, guardPod, refusalOf } from './guard-pod.ts';

const GUARD_USAGE = `Usage: webhook.js guard NAMESPACE/POD... [options]
       webhook.js guard POD... --namespace NAMESPACE [options]
       webhook.js guard --namespace NAMESPACE [options]

Adds an ephemeral container to pods that run already. The container installs the rule, verifies it, and ends.
Nothing is restarted. Pods that the agent of their node guards, or is to guard, are left to it. Exit 0: all pods are guarded. 1: some are not. 2: an argument is wrong.
  --dry-run  change nothing: ask the API server whether it would accept the container
  --stay     leave a checker in each pod, in a second container
  --help     print this`;

export interface GuardCommandContext {
  env: Record<string, string | undefined>;
  /** The library is large: it is loaded only when there is something to do. */
  connect(kubeconfig: string, context: string): Promise<OperatorClient>;
  print(text: string): void;
  /** For a person at a terminal; undefined where there is none. */
  progress: ((text: string) => void) | undefined;
  /** Notes beside the results, on standard error. */
  note(text: string): void;
  /** Fires when no further pod is to be started. */
  stop: AbortSignal;
}

/**
 * @param argv arguments after `guard`
 * @returns exit code
 * @throws CodedError where an argument is wrong, or does not do in this cluster
 */
export async function guardCommand(argv: string[], context: GuardCommandContext): Promise<number> {
  const args = readGuardArguments(argv, context.env);
  if (args.given.has('help')) {
    context.print(helpText(GUARD_USAGE, GUARD_OPTIONS));
    return 0;
  }
  const named = namedTargets(args.pods, args.values.namespace);
  const client = await context.connect(kubeconfigOf(args, context.env), args.values.context);
  try {
    const results = await guardTargets(named, client, args, context);
    context.print(resultTable(results));
    return exitCodeOf(results);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    context.note(`cannot read the pods or the webhook's Deployment from the API server: ${reasonOf(error)}`);
    return 1;
  }
}

async function guardTargets(
  named: GuardTarget[],
  client: OperatorClient,
  args: GuardArguments,
  context: GuardCommandContext,
) {
  const { values, given } = args;
  const settings = await readSettings(client, values.image, context.note);
  const targets = named.length > 0 ? named : await listPods(client, values.namespace);
  const guarding = {
    client,
    settings,
    placementIn: placements(client, settings.nodeMode),
    stay: given.has('stay'),
    dryRun: given.has('dry-run'),
    timeout: durationMs(values.timeout),
    clock: { now: () => performance.now(), wait },
  };
  return guardAll(targets, {
    concurrency: values.concurrency,
    maxFailures: values['max-failures'],
    stop: context.stop,
    guard: (target) => guardPod(target, guarding),
    tell: (result, done) => context.progress?.(`${resultLine(result, done, targets.length)}\n`),
  });
}

/** Asks for each namespace once, and for none where there are no agents. */
function placements(client: Pick<ClusterClient, 'get'>, nodeMode: NodeMode): GuardOptions['placementIn'] {
  const known = new Map<string, ReturnType<GuardOptions['placementIn']>>();
  const ask = async (namespace: string) => {
    if (nodeMode === 'disabled') return undefined;
    const { labels } = objectAt(await client.get(`/api/v1/namespaces/${namespace}`), 'metadata');
    return placementOf(isTextMap(labels) ? labels : {}, nodeMode);
  };
  return (namespace) => {
    const placement = known.get(namespace) ?? ask(namespace);
    known.set(namespace, placement);
    return placement;
  };
}

function kubeconfigOf({ values }: GuardArguments, env: GuardCommandContext['env']): string {
  return values.kubeconfig || join(env['HOME'] ?? '/', '.kube', 'config');
}

// Many pods, some at once, until too many have failed.

export interface RunOptions {
  concurrency: number;
  /** After this many failures no further pod is started. */
  maxFailures: number;
  /** When it fires, no further pod is started. */
  stop: AbortSignal;
  /** Never rejects. */
  guard(target: GuardTarget): Promise<GuardResult>;
  /** Called as each pod is done. */
  tell(result: GuardResult, done: number): void;
}

/** @returns a result for each target, in their order; pods that were started before the stop are finished */
export async function guardAll(targets: GuardTarget[], options: RunOptions): Promise<GuardResult[]> {
  const results = targets.map((target): GuardResult => ({ ...target, outcome: 'not-tried', detail: '' }));
  let [next, done, failures] = [0, 0, 0];
  const worker = async () => {
    while (next < targets.length && failures < options.maxFailures && !options.stop.aborted) {
      const index = next++;
      const target = targets[index];
      if (target === undefined) return;
      const result = await options.guard(target);
      results[index] = result;
      done += 1;
      if (kindOf(result.outcome) === 'failed') failures += 1;
      options.tell(result, done);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return results;
}

// The pods of a namespace, by name.

/** @throws Error that names the missing permission, or what listPages throws */
async function listPods(client: Pick<ClusterClient, 'get'>, namespace: string): Promise<GuardTarget[]> {
  const targets: GuardTarget[] = [];
  try {
    for await (const { objects } of listPages(client, `/api/v1/namespaces/${namespace}/pods`)) {
      for (const { metadata } of objects)
        targets.push({ namespace, pod: shortText(isObject(metadata) ? metadata['name'] : '') });
    }
  } catch (error) {
    throw explained(error, namespace);
  }
  return targets;
}

function explained(error: unknown, namespace: string): unknown {
  const { outcome, detail } = refusalOf(error, 'list', namespace);
  return outcome === 'forbidden' ? new Error(detail) : error;
}
