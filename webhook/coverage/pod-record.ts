// What coverage keeps of a pod. Pure. Ten thousand pods have a few dozen different sets of facts between them: each set
// is one object that they share.
import {
  CHECKER_CONTAINER,
  CHECKER_PORT,
  CHECKER_PORT_VARIABLE,
  INIT_CONTAINER,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import { isObject, isObjectList, type JsonObject, objectAt, objectsAt, secondsOf, shortText } from '../../lib/json.ts';
import { type EphemeralGuards, networkSince, readEphemeral } from '../../lib/pod/ephemeral-guards.ts';
import {
  CONDITION_REASONS,
  type ConditionReason,
  guardedCondition,
  hasGuardedGate,
  isOfLook,
} from '../../lib/pod/guarded-condition.ts';
import { setsLiberalConntrack } from '../../lib/pod/liberal-sysctl.ts';
import { hasOwnContainers } from '../../lib/pod/placement.ts';
import { CHECKER_PORT_OPTION } from '../../lib/pod/pod-options.ts';
import { findContainer, type PodView, viewPod } from '../../lib/pod/pod-view.ts';
import { type PodLeftAloneReason, reasonToLeaveAlone } from '../../lib/pod/reasons.ts';
import { isInstallingSidecar, isOwnEphemeral, type OwnContainers, ownContainers } from '../admission/own-containers.ts';

/** A container of ours in a pod: absent, or what its image and its status say. */
export interface PodFacts {
  /** Why the webhook leaves such a pod alone, but for the labels of its namespace. */
  leftAlone: PodLeftAloneReason | undefined;
  /** What stands under the names of our containers: only what the webhook builds guards the pod. */
  own: OwnContainers['are'];
  install: 'absent' | 'waiting' | 'failed' | 'done';
  /** failing: it has ended again and again. */
  checker: 'absent' | 'waiting' | 'failing' | 'running' | 'ready';
  /** The kubelet cannot get the image of one of our containers. */
  unpulled: boolean;
  observes: boolean;
  /** An ephemeral container has installed the rule into the network that the pod has now. */
  ephemeral: boolean;
  /** The Pod itself sets nf_conntrack_tcp_be_liberal to 1. */
  liberal: boolean;
  /** What tells whether the agent of its node guards it; undefined where it has containers under our names. */
  agent: ConditionFacts | undefined;
}

export interface ConditionFacts {
  /** Whether the pod gets Ready only with our condition. */
  gated: boolean;
  /** Reason of our condition; CannotTell where it is none of the known ones, or tells of protection without being True. */
  says: ConditionReason | 'absent';
  /** Whether the pod has a network namespace, which an agent could find. */
  hasNetwork: boolean;
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
  /**
   * Seconds since 1970 at which the checker began to run, or the pod got its network where it has none of our containers;
   * 0 where neither is so.
   */
  startedAt: number;
  /** Address of the pod where it has a checker of ours, as the kubelet reports it; '' where it has none. */
  checkerIp: string;
  checkerPort: number;
  /** Its node and its uid where an agent has taken it up; '' where none has. */
  agentNode: string;
  agentUid: string;
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
  const nodes = new Map<string, string>();
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
    const facts = share(factsOf(view, namespace, status, image));
    const record = {
      namespace,
      name,
      facts,
      created: secondsOf(metadata['creationTimestamp']),
      startedAt: startedAt(view, status),
      ...checkerAddress(view, status),
      ...takenUp(facts, view, metadata, nodes),
    };
    const ended = status['phase'] === 'Succeeded' || status['phase'] === 'Failed';
    return { record, owner: ownerOf(metadata), gone: ended || metadata['deletionTimestamp'] !== undefined };
  };
}

function checkerAddress(pod: PodView, { podIP }: JsonObject): Pick<PodRecord, 'checkerIp' | 'checkerPort'> {
  const checker = findContainer(pod, CHECKER_CONTAINER);
  const moved = objectsAt(checker, 'env').find(({ name }) => name === CHECKER_PORT_VARIABLE)?.['value'];
  const checkerPort = CHECKER_PORT_OPTION.parse(shortText(moved)) ?? CHECKER_PORT;
  return { checkerIp: checker === undefined ? '' : shortText(podIP, 45), checkerPort };
}

/** Whether an agent has more to do with the pod than to look at it. */
export function isTakenUp({ says }: ConditionFacts): boolean {
  return says !== 'absent' && !isOfLook(says);
}

/** @param nodes names of nodes, each of which many pods share */
function takenUp(
  { agent }: PodFacts,
  { spec }: PodView,
  { uid }: JsonObject,
  nodes: Map<string, string>,
): Pick<PodRecord, 'agentNode' | 'agentUid'> {
  if (agent === undefined || !isTakenUp(agent)) return { agentNode: '', agentUid: '' };
  const name = shortText(spec['nodeName']);
  const node = nodes.get(name) ?? name;
  nodes.set(node, node);
  return { agentNode: node, agentUid: shortText(uid, 36) };
}

function startedAt(pod: PodView, status: JsonObject): number {
  if (hasOwnContainers(pod)) return secondsOf(runningOf(status, CHECKER_CONTAINER)?.['startedAt']);
  return hasNetwork(status) ? networkSince(status) || secondsOf(status['startTime']) : 0;
}

function factsOf(pod: PodView, namespace: string, status: JsonObject, image: string): PodFacts {
  const init = findContainer(pod, INIT_CONTAINER);
  const checker = findContainer(pod, CHECKER_CONTAINER);
  return {
    leftAlone: reasonToLeaveAlone(pod, { name: namespace, labels: undefined }, 'pod'),
    own: ownContainers(pod, image).are,
    install: installOf(init, checker, status),
    checker: checkerOf(checker, status),
    unpulled: [INIT_CONTAINER, CHECKER_CONTAINER].some((name) => waitsForImage(statusOf(status, name))),
    observes: observes(init) || observes(checker),
    ephemeral: ephemeralGuards(pod, status, image).installed !== undefined,
    liberal: setsLiberalConntrack(pod.spec),
    agent: hasOwnContainers(pod) ? undefined : conditionFacts(pod, status),
  };
}

function conditionFacts(pod: PodView, status: JsonObject): ConditionFacts {
  const condition = guardedCondition(status);
  const reasons = Object.keys(CONDITION_REASONS) as ConditionReason[];
  const says = reasons.find((each) => each === condition?.reason) ?? 'CannotTell';
  // In mode observe, and where an earlier verdict still counts, the status of other reasons may be True as well.
  const contradicts = (says === 'Guarded' || says === 'LiberalConntrack') && condition?.status !== 'True';
  return {
    gated: hasGuardedGate(pod),
    says: condition === undefined ? 'absent' : contradicts ? 'CannotTell' : says,
    hasNetwork: hasNetwork(status),
  };
}

function hasNetwork({ podIP }: JsonObject): boolean {
  return typeof podIP === 'string' && podIP !== '';
}

function installOf(
  init: JsonObject | undefined,
  checker: JsonObject | undefined,
  status: JsonObject,
): PodFacts['install'] {
  if (init !== undefined) return installByInit(status);
  return checker !== undefined && isInstallingSidecar(checker) ? installBySidecar(status) : 'absent';
}

function installByInit(status: JsonObject): PodFacts['install'] {
  const one = statusOf(status, INIT_CONTAINER);
  const exitCode = exitCodeOf(one?.['state']);
  if (exitCode !== undefined) return exitCode === 0 ? 'done' : 'failed';
  // After a restart of the node it runs again although it had succeeded, so restartCount alone does not mean a failure.
  const before = exitCodeOf(one?.['lastState']);
  return (before !== undefined && before !== 0) || waitsAfterFailure(one) ? 'failed' : 'waiting';
}

/**
 * The kubelet says `started` of a sidecar once its hook has ended well. Before that it ends for no other reason than a failed
 * install, with exit code 0 where the kubelet ended it because the hook had failed. Of a pod that is initialized, as it stays
 * while its node restarts, what befalls the sidecar is the checker's.
 */
function installBySidecar(status: JsonObject): PodFacts['install'] {
  const one = statusOf(status, CHECKER_CONTAINER);
  const isStarted = one?.['started'] === true && runningOf(status, CHECKER_CONTAINER) !== undefined;
  if (isStarted || isInitialized(status)) return 'done';
  const hasEnded = [one?.['state'], one?.['lastState']].some((state) => exitCodeOf(state) !== undefined);
  return hasEnded || waitsAfterFailure(one) ? 'failed' : 'waiting';
}

function isInitialized(status: JsonObject): boolean {
  return objectsAt(status, 'conditions').some((one) => one['type'] === 'Initialized' && one['status'] === 'True');
}

function exitCodeOf(state: unknown): unknown {
  return objectAt(state, 'terminated')['exitCode'];
}

/** The kubelet's words: the second where the hook failed, before it waits ever longer. */
function waitsAfterFailure(status: JsonObject | undefined): boolean {
  const { reason } = objectAt(status, 'state', 'waiting');
  return reason === 'CrashLoopBackOff' || reason === 'PostStartHookError';
}

/** The kubelet's words for an image that it does not get (pkg/kubelet/images/types.go, and the CRI's errors). */
const NO_IMAGE = [
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'ImageInspectError',
  'InvalidImageName',
  'RegistryUnavailable',
  'SignatureValidationFailed',
];

function waitsForImage(status: JsonObject | undefined): boolean {
  const { reason } = objectAt(status, 'state', 'waiting');
  return NO_IMAGE.some((one) => one === reason);
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
  if (waitsAfterFailure(one) || Number(one?.['restartCount'] ?? 0) >= MANY_RESTARTS) return 'failing';
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

/** What ephemeral containers of ours have done for a pod. @param image that is configured now */
export function ephemeralGuards(pod: PodView, status: JsonObject, image: string): EphemeralGuards {
  return readEphemeral(pod, status, (container, job) => isOwnEphemeral(container, job, image), image);
}
