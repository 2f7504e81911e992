// What coverage keeps of a pod. Pure. Ten thousand pods have a few dozen different sets of facts between them: each set
// is one object that they share.
import {
  CHECKER_CONTAINER,
  GUARD_CHECKER_CONTAINER,
  GUARD_CONTAINER,
  INIT_CONTAINER,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import { isObject, isObjectList, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { allContainers, findContainer, type PodView, viewPod } from '../../lib/pod/pod-view.ts';
import { type LeftAloneReason, reasonToLeaveAlone } from '../../lib/pod/reasons.ts';
import { isOwnEphemeral, type OwnContainers, ownContainers } from '../admission/own-containers.ts';

/** A container of ours in a pod: absent, or what its image and its status say. */
export interface PodFacts {
  /** Why the webhook leaves such a pod alone, but for the labels of its namespace. */
  leftAlone: LeftAloneReason | undefined;
  /** What stands under the names of our containers: only what the webhook builds guards the pod. */
  own: OwnContainers['are'];
  install: 'absent' | 'waiting' | 'failed' | 'done';
  /** failing: it has ended again and again. */
  checker: 'absent' | 'waiting' | 'failing' | 'running' | 'ready';
  observes: boolean;
  /** An ephemeral container has installed the rule into the network that the pod has now. */
  ephemeral: boolean;
}

export interface PodOwner {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
}

export interface PodRecord {
  namespace: string;
  name: string;
  facts: PodFacts;
  /** Seconds since 1970. */
  created: number;
  /** Seconds since 1970 at which the checker began to run; 0 where it does not. */
  checkerSince: number;
}

/** A record, and the owner, which is needed once for an Event. */
export interface SeenPod {
  record: PodRecord;
  owner: PodOwner;
  /** It has ended, or is about to: it is not counted. */
  gone: boolean;
}

/**
 * @param image that is configured now
 * @returns a function from a Pod to what is kept of it; undefined where it is no Pod
 */
export function createProjection(image: string): (object: JsonObject) => SeenPod | undefined {
  const shared = new Map<string, PodFacts>();
  const share = (facts: PodFacts): PodFacts => {
    const key = JSON.stringify(facts);
    const known = shared.get(key) ?? facts;
    shared.set(key, known);
    return known;
  };
  return (object) => {
    const { metadata } = object;
    const view = viewPod(object);
    if (!isObject(metadata) || view === undefined) return undefined;
    const status = objectAt(object, 'status');
    const name = shortText(metadata['name']);
    const namespace = shortText(metadata['namespace']);
    const record = {
      namespace,
      name,
      facts: share(factsOf(view, namespace, status, image)),
      created: secondsOf(metadata['creationTimestamp']),
      checkerSince: secondsOf(runningOf(status, CHECKER_CONTAINER)?.['startedAt']),
    };
    const ended = status['phase'] === 'Succeeded' || status['phase'] === 'Failed';
    return { record, owner: ownerOf(metadata), gone: ended || metadata['deletionTimestamp'] !== undefined };
  };
}

function factsOf(pod: PodView, namespace: string, status: JsonObject, image: string): PodFacts {
  const init = findContainer(pod, INIT_CONTAINER);
  const checker = findContainer(pod, CHECKER_CONTAINER);
  return {
    leftAlone: reasonToLeaveAlone(pod, { name: namespace, labels: undefined }),
    own: ownContainers(pod, image).are,
    install: installOf(init, status),
    checker: checkerOf(checker, status),
    observes: observes(init) || observes(checker),
    ephemeral: readEphemeral(pod, status, image).installed !== undefined,
  };
}

function installOf(init: JsonObject | undefined, status: JsonObject): PodFacts['install'] {
  if (init === undefined) return 'absent';
  const one = statusOf(status, INIT_CONTAINER);
  const exitCode = exitCodeOf(one?.['state']);
  if (exitCode !== undefined) return exitCode === 0 ? 'done' : 'failed';
  // After a restart of the node it runs again although it had succeeded, so restartCount alone does not mean a failure.
  const before = exitCodeOf(one?.['lastState']);
  return (before !== undefined && before !== 0) || isCrashLooping(one) ? 'failed' : 'waiting';
}

function exitCodeOf(state: unknown): unknown {
  return objectAt(state, 'terminated')['exitCode'];
}

function isCrashLooping(status: JsonObject | undefined): boolean {
  return objectAt(status, 'state', 'waiting')['reason'] === 'CrashLoopBackOff';
}

/**
 * From this many restarts on, a checker that is not Ready counts as failing: in a crash loop it would always be
 * starting.
 */
const MANY_RESTARTS = 3;

function checkerOf(checker: JsonObject | undefined, status: JsonObject): PodFacts['checker'] {
  if (checker === undefined) return 'absent';
  const one = statusOf(status, CHECKER_CONTAINER);
  if (one?.['ready'] === true) return 'ready';
  if (isCrashLooping(one) || Number(one?.['restartCount'] ?? 0) >= MANY_RESTARTS) return 'failing';
  return runningOf(status, CHECKER_CONTAINER) === undefined ? 'waiting' : 'running';
}

function observes(container: JsonObject | undefined): boolean {
  const env = objectsAt(container, 'env');
  return env.some(({ name, value }) => name === POD_OPTIONS.mode.env && value === 'observe');
}

function statusOf(status: JsonObject, container: string): JsonObject | undefined {
  const lists = [status['initContainerStatuses'], status['containerStatuses']].filter(isObjectList).flat();
  return lists.find(({ name }) => name === container);
}

function runningOf(status: JsonObject, container: string): JsonObject | undefined {
  const { running } = objectAt(statusOf(status, container), 'state');
  return isObject(running) ? running : undefined;
}

function ownerOf(metadata: JsonObject): PodOwner {
  const owners = objectsAt(metadata, 'ownerReferences');
  const owner = owners.find(({ controller }) => controller === true);
  if (owner === undefined) {
    return { apiVersion: 'v1', kind: 'Pod', name: shortText(metadata['name']), uid: shortText(metadata['uid']) };
  }
  const text = (name: string) => shortText(owner[name]);
  return { apiVersion: text('apiVersion'), kind: text('kind'), name: text('name'), uid: text('uid') };
}

// What the ephemeral containers of `webhook.js guard` have done for a pod. Pure. Read from what they are and from their
// status, never from an annotation.

export interface EphemeralGuards {
  /** Name of a container that has installed the rule into the network that the pod has now. */
  installed: string | undefined;
  /** Name of a checker that runs. Its readiness is unknown: ephemeral containers have no probes. */
  checker: string | undefined;
  /** Those of the given image that have not started, or have not ended, by what they do. */
  pending: { install: string | undefined; check: string | undefined };
  /** A number that no ephemeral container of ours in this pod has. */
  next: number;
}

type Job = 'install' | 'check';
const NAME: Record<Job, RegExp> = {
  install: new RegExp(`^${GUARD_CONTAINER}-\\d{1,9}$`),
  check: new RegExp(`^${GUARD_CHECKER_CONTAINER}-\\d{1,9}$`),
};
const NUMBER = new RegExp(`^(?:${GUARD_CONTAINER}|${GUARD_CHECKER_CONTAINER})-(\\d{1,9})$`);

/**
 * @param status the Pod's
 * @param image that is configured now; other tags of its repository count as ours too
 */
export function readEphemeral(pod: PodView, status: JsonObject, image: string): EphemeralGuards {
  const containers = objectsAt(pod.spec, 'ephemeralContainers');
  const since = networkSince(status);
  const find = (job: Job, fits: (state: JsonObject, container: JsonObject) => boolean) => {
    const ours = containers.filter((one) => NAME[job].test(shortText(one['name'])) && isOwnEphemeral(one, job, image));
    return ours
      .map((one) => shortText(one['name']))
      .find((name, index) => fits(stateOf(status, name), ours[index] ?? {}));
  };
  const isPending = (state: JsonObject, container: JsonObject) =>
    !isObject(state['terminated']) && container['image'] === image;
  const numbers = [...allContainers(pod), ...containers].map(({ name }) =>
    Number(NUMBER.exec(shortText(name))?.[1] ?? 0),
  );
  return {
    installed: find('install', (state) => hasInstalled(state, since)),
    checker: find('check', (state) => isObject(state['running'])),
    pending: { install: find('install', isPending), check: find('check', isPending) },
    next: Math.max(0, ...numbers) + 1,
  };
}

/** An ephemeral container is never run again, so what it did for an earlier network of the pod is lost. */
function hasInstalled(state: JsonObject, since: number): boolean {
  const ended = state['terminated'];
  return isObject(ended) && ended['exitCode'] === 0 && secondsOf(ended['finishedAt']) >= since;
}

/**
 * When the pod got its present network: the kubelet sets this condition for each new sandbox (Kubernetes 1.29
 * and later).
 * @returns seconds since 1970; 0 where it is not known
 */
function networkSince(status: JsonObject): number {
  const ready = objectsAt(status, 'conditions').find(({ type }) => type === 'PodReadyToStartContainers');
  return secondsOf(ready?.['lastTransitionTime']);
}

function stateOf(status: JsonObject, container: string): JsonObject {
  return objectAt(
    objectsAt(status, 'ephemeralContainerStatuses').find(({ name }) => name === container),
    'state',
  );
}

/** @returns seconds since 1970; 0 where it is no time */
export function secondsOf(time: unknown): number {
  return Math.floor(Date.parse(shortText(time)) / 1000) || 0;
}
