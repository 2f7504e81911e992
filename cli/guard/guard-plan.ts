// What to do about a pod that runs: a function from data to data.
import { GUARD_CHECKER_CONTAINER, GUARD_CONTAINER, INIT_CONTAINER } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, shortText } from '../../lib/json.ts';
import type { EphemeralGuards } from '../../lib/pod/ephemeral-guards.ts';
import { guardedCondition } from '../../lib/pod/guarded-condition.ts';
import type { Placement } from '../../lib/pod/placement.ts';
import { readPodOptions } from '../../lib/pod/pod-options.ts';
import { hasContainer, type PodView, podLevelSettings, viewPod } from '../../lib/pod/pod-view.ts';
import { ephemeralContainer, type InjectionSettings } from '../../webhook/admission/containers.ts';
import { areForeign, areOurs, ownContainers } from '../../webhook/admission/own-containers.ts';
import { createProjection, ephemeralGuards, type PodFacts } from '../../webhook/coverage/pod-record.ts';
import type { GuardOutcome } from './guard-outcomes.ts';

/** One container to add or to wait for. */
export interface GuardStep {
  job: 'install' | 'check';
  name: string;
  /** undefined: it is in the pod already, and has not ended yet. */
  container: JsonObject | undefined;
}

/** `detail` of add: what stands under the names of our containers where that is not ours, or ''. */
export type GuardPlan =
  | { do: 'leave'; outcome: GuardOutcome; detail: string }
  | { do: 'add'; steps: GuardStep[]; detail: string };

/**
 * Decides about one pod, from its containers and what the kubelet says of them.
 * @param object a Pod as the API server sent it
 * @param stay whether a checker is to stay in it
 * @param placement what guards the pods of its namespace; undefined where it is not opted in, or there are no agents
 * @returns leave with the reason, or the containers to add, one after the other
 */
export function planGuard(
  object: JsonObject,
  settings: InjectionSettings,
  stay: boolean,
  placement?: Placement | 'missing',
): GuardPlan {
  const view = viewPod(object);
  const seen = createProjection(settings.image)(object);
  if (view === undefined || seen === undefined) return leave('unreadable-pod');
  const { facts } = seen.record;
  const status = objectAt(object, 'status');
  if (facts.leftAlone !== undefined) return leave(facts.leftAlone);
  if (isObject(object['metadata']) && object['metadata']['deletionTimestamp'] !== undefined)
    return leave('being-deleted');
  const phase = shortText(status['phase'], 30);
  if (phase !== 'Running') return leave('not-running', `its phase is ${phase || 'not known'}`);
  const { options, wrong } = readPodOptions(view, settings.options);
  if (wrong.length > 0) return leave('wrong-annotation', wrong.join('; '));

  const byAgent = leaveToAgent(facts, status, placement);
  if (byAgent !== undefined) return byAgent;
  const ephemeral = ephemeralGuards(view, status, settings.image);
  const installedBy = ephemeral.installed ?? (isGuardedByOwn(facts) ? ownInstaller(view) : undefined);
  const jobs: GuardStep['job'][] = installedBy === undefined ? ['install'] : [];
  if (stay && !hasChecker(facts) && ephemeral.checker === undefined) jobs.push('check');
  if (jobs.length === 0) return leave('already-guarded', `by ${installedBy}`);
  const level = podLevelSettings(view);
  const container = (job: GuardStep['job'], name: string) => ephemeralContainer(name, job, level, options, settings);
  const { are, difference } = ownContainers(view, settings.image);
  const detail = areForeign(are) ? `${are}: ${difference}` : '';
  return { do: 'add', steps: jobs.map((job) => stepFor(job, ephemeral, container)), detail };
}

const leave = (outcome: GuardOutcome, detail = ''): GuardPlan => ({ do: 'leave', outcome, detail });

/** A pod is never guarded by both. */
function leaveToAgent(
  { agent, ephemeral }: PodFacts,
  status: JsonObject,
  placement: Placement | 'missing' | undefined,
): GuardPlan | undefined {
  if (agent === undefined || ephemeral) return undefined;
  if (agent.says === 'Guarded') return leave('guarded-by-agent');
  const condition = guardedCondition(status);
  if (placement !== 'node' && !agent.gated && condition === undefined) return undefined;
  if (condition === undefined) return leave('left-to-agent', 'no agent has taken it up');
  return leave('left-to-agent', `it says ${condition.reason}: ${condition.message}`);
}

/**
 * In mode observe nothing says that the install succeeded. A checker that is not Ready reports that INVALID packets are not dropped.
 */
function isGuardedByOwn({ own, install, checker, observes }: PodFacts): boolean {
  return areOurs(own) && install === 'done' && !observes && (checker === 'absent' || checker === 'ready');
}

function ownInstaller(pod: PodView): string {
  return hasContainer(pod, INIT_CONTAINER) ? 'its init container' : 'its checker';
}

function hasChecker({ own, checker }: PodFacts): boolean {
  return areOurs(own) && checker !== 'absent';
}

/** Ephemeral containers cannot be removed: one that has not ended yet is waited for, and no other is added. */
function stepFor(
  job: GuardStep['job'],
  { pending, next }: EphemeralGuards,
  container: (job: GuardStep['job'], name: string) => JsonObject,
): GuardStep {
  const waiting = pending[job];
  if (waiting !== undefined) return { job, name: waiting, container: undefined };
  const name = `${job === 'install' ? GUARD_CONTAINER : GUARD_CHECKER_CONTAINER}-${next}`;
  return { job, name, container: container(job, name) };
}
