// What the ephemeral containers of `kubectl invalid-drop guard` have done for a pod. Pure. Read from what they are and from their
// status, never from an annotation.
import { GUARD_CHECKER_CONTAINER, GUARD_CONTAINER } from '../contract.ts';
import { isObject, type JsonObject, objectAt, objectsAt, secondsOf, shortText } from '../json.ts';
import { allContainers, type PodView } from './pod-view.ts';

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

/** install: puts in the rule, verifies it, and ends. check: stays. */
export type EphemeralJob = 'install' | 'check';
const NAME: Record<EphemeralJob, RegExp> = {
  install: new RegExp(`^${GUARD_CONTAINER}-\\d{1,9}$`),
  check: new RegExp(`^${GUARD_CHECKER_CONTAINER}-\\d{1,9}$`),
};
const NUMBER = new RegExp(`^(?:${GUARD_CONTAINER}|${GUARD_CHECKER_CONTAINER})-(\\d{1,9})$`);

/**
 * @param status the Pod's
 * @param isOwn whether a container of such a name is one of ours
 * @param image of containers that are worth waiting for; undefined: any
 */
export function readEphemeral(
  pod: PodView,
  status: JsonObject,
  isOwn: (container: JsonObject, job: EphemeralJob) => boolean,
  image?: string,
): EphemeralGuards {
  const containers = objectsAt(pod.spec, 'ephemeralContainers');
  const since = networkSince(status);
  const find = (job: EphemeralJob, fits: (state: JsonObject, container: JsonObject) => boolean) => {
    const ours = containers.filter((one) => NAME[job].test(shortText(one['name'])) && isOwn(one, job));
    return ours
      .map((one) => shortText(one['name']))
      .find((name, index) => fits(stateOf(status, name), ours[index] ?? {}));
  };
  const isPending = (state: JsonObject, container: JsonObject) =>
    !isObject(state['terminated']) && (image === undefined || container['image'] === image);
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
export function networkSince(status: JsonObject): number {
  const ready = objectsAt(status, 'conditions').find(({ type }) => type === 'PodReadyToStartContainers');
  return secondsOf(ready?.['lastTransitionTime']);
}

function stateOf(status: JsonObject, container: string): JsonObject {
  return objectAt(
    objectsAt(status, 'ephemeralContainerStatuses').find(({ name }) => name === container),
    'state',
  );
}
