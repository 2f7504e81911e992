// Guards one pod: looks, adds what the plan says, and waits for what becomes of it.

import { isObject, type JsonObject } from '../../lib/json.ts';
import type { InjectionSettings } from '../admission/decision.ts';
import { ApiError } from '../cluster/api-error.ts';
import type { OperatorClient, Query } from '../cluster/cluster-client.ts';
import { type Action, refusalOf } from './api-refusal.ts';
import { type Progress, progressOf } from './container-progress.ts';
import type { Outcome, Result, Target } from './guard-outcomes.ts';
import { planGuard, type Step } from './guard-plan.ts';

export interface GuardOptions {
  client: Pick<OperatorClient, 'get' | 'mergePatch'>;
  settings: InjectionSettings;
  stay: boolean;
  dryRun: boolean;
  /** Milliseconds for each container. */
  timeout: number;
  /** Milliseconds since 1970, and a pause of so many milliseconds. */
  clock: { now(): number; wait(ms: number): Promise<unknown> };
}

type Verdict = { outcome: Outcome; detail: string };

const POLL_MS = 250;
/** A checker that cannot take its port ends at once: one that has run for so long stays. */
const STAYS_MS = 3000;
/** Another client changed the pod while the API server was about to. */
const MAX_TRIES = 4;

/** Never rejects: what goes wrong is the result's outcome. */
export async function guardPod(target: Target, options: GuardOptions): Promise<Result> {
  const path = `/api/v1/namespaces/${target.namespace}/pods/${target.pod}`;
  const verdict = await withRetries(target.namespace, (doing) => attempt(path, options, doing));
  return { ...target, ...verdict };
}

async function withRetries(namespace: string, run: (doing: (action: Action) => void) => Promise<Verdict>) {
  for (let left = MAX_TRIES; ; left -= 1) {
    let action: Action = 'read';
    try {
      return await run((now) => {
        action = now;
      });
    } catch (error) {
      const conflict = error instanceof ApiError && error.status === 409;
      if (!conflict || left <= 1) return refusalOf(error, action, namespace);
    }
  }
}

async function attempt(path: string, options: GuardOptions, doing: (action: Action) => void): Promise<Verdict> {
  const plan = planGuard(await options.client.get(path), options.settings, options.stay);
  if (plan.do === 'leave') return plan;
  for (const step of plan.steps) {
    doing('change');
    await add(path, step, options);
    doing('read');
    if (options.dryRun) continue;
    const verdict = await see(path, step, options);
    if (verdict.outcome !== 'guarded') return verdict;
  }
  const names = plan.steps.map(({ name }) => name).join(' and ');
  return { outcome: options.dryRun ? 'would-guard' : 'guarded', detail: `by ${names}` };
}

async function add(path: string, { container }: Step, { client, dryRun }: GuardOptions): Promise<void> {
  if (container === undefined) return;
  const query: Query = dryRun ? { dryRun: 'All' } : {};
  await client.mergePatch(`${path}/ephemeralcontainers`, { spec: { ephemeralContainers: [container] } }, query);
}

/** Waits until the container has done what it is for. What fails in between counts as not seen, until the time is up. */
async function see(path: string, step: Step, { client, timeout, clock }: GuardOptions): Promise<Verdict> {
  const end = clock.now() + timeout;
  let runningSince = Number.POSITIVE_INFINITY;
  let progress: Progress = { state: 'waiting', why: 'it has not started' };
  for (;;) {
    const pod = await look(client, path);
    if (pod === 'gone') return { outcome: 'being-deleted', detail: 'it went while its container was at work' };
    if (pod !== 'unseen') progress = progressOf(pod, step.name);
    if (progress.state === 'running') runningSince = Math.min(runningSince, clock.now());
    const verdict = judge(step, progress, clock.now() - runningSince);
    if (verdict !== undefined) return verdict;
    if (clock.now() >= end) return timedOut(step, progress, timeout);
    await clock.wait(POLL_MS);
  }
}

async function look(client: GuardOptions['client'], path: string): Promise<JsonObject | 'gone' | 'unseen'> {
  try {
    const pod = await client.get(path);
    return isObject(pod['metadata']) && pod['metadata']['deletionTimestamp'] !== undefined ? 'gone' : pod;
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? 'gone' : 'unseen';
  }
}

/** @param ran milliseconds for which it has been seen to run @returns undefined while it is too early to say */
function judge({ job, name }: Step, progress: Progress, ran: number): Verdict | undefined {
  const done: Verdict = { outcome: 'guarded', detail: '' };
  if (job === 'check') {
    if (progress.state === 'ended') return { outcome: 'checker-failed', detail: `${name}: ${progress.message}` };
    return progress.state === 'running' && ran >= STAYS_MS ? done : undefined;
  }
  if (progress.state !== 'ended') return undefined;
  return progress.exitCode === 0 ? done : { outcome: 'install-failed', detail: `${name}: ${progress.message}` };
}

function timedOut({ name }: Step, progress: Progress, timeout: number): Verdict {
  const why = progress.state === 'waiting' ? progress.why : 'it runs still';
  return { outcome: 'timed-out', detail: `${name} after ${timeout / 1000} s: ${why}` };
}
