// What coverage keeps of a pod. Pure. Ten thousand pods have a few dozen different sets of facts between them: each set
// is one object that they share.
import { CHECKER_CONTAINER, INIT_CONTAINER, POD_OPTIONS } from '../../lib/contract.ts';
import { isObject, isObjectList, type JsonObject, shortText } from '../../lib/json.ts';
import { isMirrorPod, isOptedOut, isWindows, usesHostNetwork } from '../admission/pod-predicates.ts';
import { allContainers, type PodView, viewPod } from '../admission/pod-view.ts';
import { readEphemeral } from './ephemeral-guards.ts';
import { type Images, imageOf, worst } from './image-match.ts';
import { secondsOf } from './seconds.ts';

/** A container of ours in a pod: absent, or what its image and its status say. */
export interface PodFacts {
  /** Why the webhook leaves such a pod alone, whatever its namespace says. */
  leftAlone: 'host-network' | 'mirror-pod' | 'windows' | 'opted-out' | undefined;
  /** Whose images the containers have. */
  images: Images;
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

/** A record, and what is needed once only: who is to be told. */
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
    const status = isObject(object['status']) ? object['status'] : {};
    const name = shortText(metadata['name']);
    const namespace = shortText(metadata['namespace']);
    const record = {
      namespace,
      name,
      facts: share(factsOf(view, status, image)),
      created: secondsOf(metadata['creationTimestamp']),
      checkerSince: secondsOf(runningOf(status, CHECKER_CONTAINER)?.['startedAt']),
    };
    const ended = status['phase'] === 'Succeeded' || status['phase'] === 'Failed';
    return { record, owner: ownerOf(metadata), gone: ended || metadata['deletionTimestamp'] !== undefined };
  };
}

function factsOf(pod: PodView, status: JsonObject, image: string): PodFacts {
  const init = allContainers(pod).find(({ name }) => name === INIT_CONTAINER);
  const checker = allContainers(pod).find(({ name }) => name === CHECKER_CONTAINER);
  const images = worst([init, checker].map((container) => imageOf(container, image)));
  return {
    leftAlone: leftAlone(pod),
    images,
    install: installOf(init, status),
    checker: checkerOf(checker, status),
    observes: observes(init),
    ephemeral: readEphemeral(pod, status, image).installed !== undefined,
  };
}

function leftAlone(pod: PodView): PodFacts['leftAlone'] {
  if (usesHostNetwork(pod)) return 'host-network';
  if (isMirrorPod(pod)) return 'mirror-pod';
  if (isWindows(pod)) return 'windows';
  return isOptedOut(pod) ? 'opted-out' : undefined;
}

function installOf(init: JsonObject | undefined, status: JsonObject): PodFacts['install'] {
  if (init === undefined) return 'absent';
  const one = statusOf(status, INIT_CONTAINER);
  const exitCode = exitCodeOf(one?.['state']);
  if (exitCode !== undefined) return exitCode === 0 ? 'done' : 'failed';
  // After a restart of the node it runs again, and had ended well before: restartCount alone says nothing.
  const before = exitCodeOf(one?.['lastState']);
  return (before !== undefined && before !== 0) || isCrashLooping(one) ? 'failed' : 'waiting';
}

function exitCodeOf(state: unknown): unknown {
  const ended = isObject(state) ? state['terminated'] : undefined;
  return isObject(ended) ? ended['exitCode'] : undefined;
}

function isCrashLooping(status: JsonObject | undefined): boolean {
  const state = status?.['state'];
  const waits = isObject(state) ? state['waiting'] : undefined;
  return isObject(waits) && waits['reason'] === 'CrashLoopBackOff';
}

/** A checker restarted so often has no grace: in a crash loop it would count as starting each time anew. */
const MANY_RESTARTS = 3;

function checkerOf(checker: JsonObject | undefined, status: JsonObject): PodFacts['checker'] {
  if (checker === undefined) return 'absent';
  const one = statusOf(status, CHECKER_CONTAINER);
  if (one?.['ready'] === true) return 'ready';
  if (isCrashLooping(one) || Number(one?.['restartCount'] ?? 0) >= MANY_RESTARTS) return 'failing';
  return runningOf(status, CHECKER_CONTAINER) === undefined ? 'waiting' : 'running';
}

function observes(init: JsonObject | undefined): boolean {
  const env = isObjectList(init?.['env']) ? init['env'] : [];
  return env.some(({ name, value }) => name === POD_OPTIONS.mode.env && value === 'observe');
}

function statusOf(status: JsonObject, container: string): JsonObject | undefined {
  const lists = [status['initContainerStatuses'], status['containerStatuses']].filter(isObjectList).flat();
  return lists.find(({ name }) => name === container);
}

function runningOf(status: JsonObject, container: string): JsonObject | undefined {
  const state = statusOf(status, container)?.['state'];
  return isObject(state) && isObject(state['running']) ? state['running'] : undefined;
}

function ownerOf(metadata: JsonObject): PodOwner {
  const owners = isObjectList(metadata['ownerReferences']) ? metadata['ownerReferences'] : [];
  const owner = owners.find(({ controller }) => controller === true);
  if (owner === undefined) {
    return { apiVersion: 'v1', kind: 'Pod', name: shortText(metadata['name']), uid: shortText(metadata['uid']) };
  }
  const text = (name: string) => shortText(owner[name]);
  return { apiVersion: text('apiVersion'), kind: text('kind'), name: text('name'), uid: text('uid') };
}
