// Guards one pod: reads it, adds the containers of its plan, and waits until they have done their work.

import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { OperatorClient, Query } from '../../lib/cluster/cluster-client.ts';
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import type { Placement } from '../../lib/pod/placement.ts';
import type { InjectionSettings } from '../../webhook/admission/containers.ts';
import type { GuardOutcome, GuardResult, GuardTarget } from './guard-outcomes.ts';
import { type GuardStep, planGuard } from './guard-plan.ts';

export interface GuardOptions {
  client: Pick<OperatorClient, 'get' | 'mergePatch'>;
  settings: InjectionSettings;
  /** What guards the pods of a namespace; undefined where it is not opted in, or there are no agents. */
  placementIn(namespace: string): Promise<Placement | 'missing' | undefined>;
  stay: boolean;
  dryRun: boolean;
  /** Milliseconds for each container. */
  timeout: number;
  /** Milliseconds since 1970, and a pause of so many milliseconds. */
  clock: { now(): number; wait(ms: number): Promise<unknown> };
}

type Verdict = { outcome: GuardOutcome; detail: string };

const POLL_MS = 250;
/** A checker that cannot take its port ends at once. One that has run for this time stays. */
const STAYS_MS = 3000;
/** Tries where another client changed the pod at the same time (status 409). */
const MAX_TRIES = 4;

/** Never rejects: what goes wrong is the result's outcome. */
export async function guardPod(target: GuardTarget, options: GuardOptions): Promise<GuardResult> {
  const path = `/api/v1/namespaces/${target.namespace}/pods/${target.pod}`;
  const verdict = await withRetries(target.namespace, (doing) => attempt(target.namespace, path, options, doing));
  return { ...target, ...verdict };
}

async function withRetries(namespace: string, run: (doing: (action: ApiAction) => void) => Promise<Verdict>) {
  for (let left = MAX_TRIES; ; left -= 1) {
    let action: ApiAction = 'read';
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

async function attempt(
  namespace: string,
  path: string,
  options: GuardOptions,
  doing: (action: ApiAction) => void,
): Promise<Verdict> {
  const pod = await options.client.get(path);
  doing('namespace');
  const plan = planGuard(pod, options.settings, options.stay, await options.placementIn(namespace));
  if (plan.do === 'leave') return plan;
  for (const step of plan.steps) {
    doing('change');
    await add(path, step, options);
    doing('read');
    if (options.dryRun) continue;
    const verdict = await waitForContainer(path, step, options);
    if (verdict.outcome !== 'guarded') return verdict;
  }
  const names = plan.steps.map(({ name }) => name).join(' and ');
  const detail = `by ${names}${plan.detail && `; its own containers do not count: ${plan.detail}`}`;
  return { outcome: options.dryRun ? 'would-guard' : 'guarded', detail };
}

async function add(path: string, { container }: GuardStep, { client, dryRun }: GuardOptions): Promise<void> {
  if (container === undefined) return;
  const query: Query = dryRun ? { dryRun: 'All' } : {};
  await client.mergePatch(`${path}/ephemeralcontainers`, { spec: { ephemeralContainers: [container] } }, query);
}

/** Waits until the container has done its work. A failed request is repeated until the time is up. */
async function waitForContainer(
  path: string,
  step: GuardStep,
  { client, timeout, clock }: GuardOptions,
): Promise<Verdict> {
  const end = clock.now() + timeout;
  let runningSince = Number.POSITIVE_INFINITY;
  let progress: Progress = { state: 'waiting', why: 'it has not started' };
  for (;;) {
    const pod = await readPod(client, path);
    if (pod === 'gone') return { outcome: 'being-deleted', detail: 'it was deleted while its container ran' };
    if (pod !== 'unread') progress = progressOf(pod, step.name);
    if (progress.state === 'running') runningSince = Math.min(runningSince, clock.now());
    const verdict = judge(step, progress, clock.now() - runningSince);
    if (verdict !== undefined) return verdict;
    if (clock.now() >= end) return timedOut(step, progress, timeout);
    await clock.wait(POLL_MS);
  }
}

async function readPod(client: GuardOptions['client'], path: string): Promise<JsonObject | 'gone' | 'unread'> {
  try {
    const pod = await client.get(path);
    return isObject(pod['metadata']) && pod['metadata']['deletionTimestamp'] !== undefined ? 'gone' : pod;
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? 'gone' : 'unread';
  }
}

/** @param ran milliseconds for which it has been seen to run @returns undefined while it is too early to say */
function judge({ job, name }: GuardStep, progress: Progress, ran: number): Verdict | undefined {
  const done: Verdict = { outcome: 'guarded', detail: '' };
  if (job === 'check') {
    if (progress.state === 'ended') return { outcome: 'checker-failed', detail: `${name}: ${progress.message}` };
    return progress.state === 'running' && ran >= STAYS_MS ? done : undefined;
  }
  if (progress.state !== 'ended') return undefined;
  return progress.exitCode === 0 ? done : { outcome: 'install-failed', detail: `${name}: ${progress.message}` };
}

function timedOut({ name }: GuardStep, progress: Progress, timeout: number): Verdict {
  const why = progress.state === 'waiting' ? progress.why : 'it is still running';
  return { outcome: 'timed-out', detail: `${name} after ${timeout / 1000} s: ${why}` };
}

// What the kubelet says of one ephemeral container. Pure.

export type Progress =
  /** `why`: what it waits for, as far as the kubelet tells. */
  { state: 'waiting'; why: string } | { state: 'running' } | { state: 'ended'; exitCode: number; message: string };

/** @param object a Pod as the API server sent it */
export function progressOf(object: JsonObject, container: string): Progress {
  const list = objectsAt(object, 'status', 'ephemeralContainerStatuses');
  const state = list.find(({ name }) => name === container)?.['state'];
  if (!isObject(state)) return { state: 'waiting', why: 'the kubelet has not reported it' };
  const { running, terminated, waiting } = state;
  if (isObject(terminated)) {
    const exitCode = Number(terminated['exitCode']);
    const message = lastWords(shortText(terminated['message'], 4096)) || shortText(terminated['reason'], 60);
    return { state: 'ended', exitCode, message: message || `exit code ${exitCode}` };
  }
  if (isObject(running)) return { state: 'running' };
  const { reason, message } = objectAt(waiting);
  const parts = [shortText(reason, 60), shortText(message, 300)].filter((part) => part !== '');
  return { state: 'waiting', why: parts.join(': ') || 'it has not started' };
}

/**
 * The last errors of our program, from the end of its log: the kubelet uses that as the termination message
 * (FallbackToLogsOnError), and may have cut its first line.
 * @returns the messages of its errors; the text itself where it has none
 */
function lastWords(text: string): string {
  const messages = text.split('\n').flatMap((line) => {
    const entry = parseLine(line);
    return entry['level'] === 'error' ? [shortText(entry['message'], 600)] : [];
  });
  // Where the program cannot run, Node prints its error before a long stack.
  const ownWords = /^\w*Error\b.*$/m.exec(text)?.[0] ?? text.trim().slice(-300);
  return [...new Set(messages)].join('; ') || ownWords.replaceAll(/\s+/g, ' ');
}

function parseLine(line: string): JsonObject {
  try {
    const entry: unknown = JSON.parse(line);
    return isObject(entry) ? entry : {};
  } catch {
    return {};
  }
}

// What a refusal of the API server means. Pure.

/** What was asked of the API server, and the permission that it takes. */
const PERMISSIONS = {
  read: 'get pods',
  namespace: 'get namespaces',
  change: 'patch pods/ephemeralcontainers',
} as const;
export type ApiAction = keyof typeof PERMISSIONS;

/**
 * Words of Pod Security (k8s.io/pod-security-admission) and of RBAC (apiserver/pkg/endpoints/handlers/responsewriters).
 */
const POD_SECURITY = /violates PodSecurity "([^"]*)"/;
const RBAC = /is forbidden: User "/;

/** @param error what the call was rejected with */
export function refusalOf(
  error: unknown,
  action: ApiAction,
  namespace: string,
): { outcome: GuardOutcome; detail: string } {
  const reason = reasonOf(error);
  if (!(error instanceof ApiError)) return { outcome: 'error', detail: reason };
  const level = POD_SECURITY.exec(error.message)?.[1];
  if (level !== undefined) return { outcome: 'pod-security', detail: `the namespace enforces "${level}"` };
  if (error.status === 401)
    return { outcome: 'forbidden', detail: `the API server rejects your credentials (${reason})` };
  if (error.status === 403 && RBAC.test(error.message))
    return { outcome: 'forbidden', detail: `needs permission to ${PERMISSIONS[action]} in namespace ${namespace}` };
  if (error.status === 404) return { outcome: 'not-found', detail: '' };
  return { outcome: error.status >= 500 || error.status === 429 ? 'error' : 'refused', detail: reason };
}
