// `kubectl invalid-drop guard`: puts the rule into pods that run already.
import { setTimeout as wait } from 'node:timers/promises';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { listPages } from '../../lib/cluster/reflector.ts';
import type { NodeMode } from '../../lib/contract.ts';
import { isObject, isTextMap, objectAt, shortText } from '../../lib/json.ts';
import { durationMs } from '../../lib/options.ts';
import { placementOf } from '../../lib/pod/placement.ts';
import { type CliClient, type CommandArguments, type CommandContext, defineCommand } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import { namespaceIn } from '../completion-names.ts';
import { formatResult } from '../output.ts';
import { readSettings } from './deployed-settings.ts';
import { GUARD_OPTIONS, GUARD_SWITCHES, type NamedPod, namedPods, targetsOf } from './guard-options.ts';
import { exitCodeOf, type GuardResult, type GuardTarget, kindOf, resultLine, resultTable } from './guard-outcomes.ts';
import { type GuardOptions, guardPod } from './guard-pod.ts';

export const guardCommand = defineCommand({
  name: 'guard',
  summary: 'puts the rule into pods that run already, without a restart',
  usage: `Usage: kubectl invalid-drop guard NAMESPACE/POD... [options]
       kubectl invalid-drop guard POD... [-n NAMESPACE] [options]
       kubectl invalid-drop guard -n NAMESPACE [options]

Adds an ephemeral container to pods that run already. The container installs the rule, verifies it, and ends. Nothing is
restarted. Pods that the agent of their node guards, or is to guard, are left to it. Where no pod is named: all pods of the namespace.
Exit 0: all pods are guarded. 1: some are not. 2: an argument is wrong, or the cluster cannot be asked.`,
  options: GUARD_OPTIONS,
  switches: GUARD_SWITCHES,
  positionals: Number.POSITIVE_INFINITY,
  complete: (before, names) => names.pods(namespaceIn(before)),
  async run(args, context) {
    const { values, given, positionals } = args;
    // Its own containers cannot be taken out again: not for the whole cluster by one letter.
    if (given.has('all-namespaces')) throw errors.ARGUMENT_NOT_TAKEN('guard', '--all-namespaces');
    const named = namedPods(positionals);
    if (named.length === 0 && values.namespace === '') throw errors.GUARD_TARGETS_MISSING();
    const client = await context.connect();
    const results = await guardTargets(named, client, args, context);
    const data = { pods: results.map((result) => ({ ...result, kind: kindOf(result.outcome) })) };
    context.print(await formatResult(values.output, data, () => resultTable(results)));
    return exitCodeOf(results);
  },
});

async function guardTargets(
  named: NamedPod[],
  client: CliClient,
  { values, given }: CommandArguments<typeof GUARD_OPTIONS, keyof typeof GUARD_SWITCHES>,
  context: CommandContext,
) {
  const settings = await readSettings(client, values.image, context.note);
  const namespace = values.namespace || client.namespace;
  const targets = named.length > 0 ? targetsOf(named, namespace) : await listPods(client, namespace);
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

/** @throws what listPages throws */
async function listPods(client: Pick<ClusterClient, 'get'>, namespace: string): Promise<GuardTarget[]> {
  const targets: GuardTarget[] = [];
  for await (const { objects } of listPages(client, `/api/v1/namespaces/${namespace}/pods`)) {
    for (const { metadata } of objects)
      targets.push({ namespace, pod: shortText(isObject(metadata) ? metadata['name'] : '') });
  }
  return targets;
}
