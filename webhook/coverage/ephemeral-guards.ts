// What the ephemeral containers of `webhook.js guard` have done for a pod. Pure. Read from image, name and status, never
// from an annotation.
import { GUARD_CHECKER_CONTAINER, GUARD_CONTAINER } from '../../lib/contract.ts';
import { isObject, isObjectList, type JsonObject, shortText } from '../../lib/json.ts';
import { allContainers, type PodView } from '../admission/pod-view.ts';
import { imageOf } from './image-match.ts';
import { secondsOf } from './seconds.ts';

export interface EphemeralGuards {
  /** Name of a container that has installed the rule into the network that the pod has now. */
  installed: string | undefined;
  /** Name of a checker that runs. Nobody asks it whether it is ready: ephemeral containers have no probes. */
  checker: string | undefined;
  /** Those of the given image that have not started, or have not ended, by what they do. */
  pending: { install: string | undefined; check: string | undefined };
  /** A number that no name of ours in this pod ends with. */
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
  const containers = listOf(pod.spec['ephemeralContainers']);
  const since = networkSince(status);
  const find = (job: Job, fits: (state: JsonObject, container: JsonObject) => boolean) => {
    const ours = containers.filter((one) => NAME[job].test(shortText(one['name'])) && imageOf(one, image) !== 'none');
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
 * When the pod got the network that it has now: the kubelet sets this condition anew with each sandbox (Kubernetes 1.29
 * and later).
 * @returns seconds since 1970; 0 where nobody tells
 */
function networkSince(status: JsonObject): number {
  const ready = listOf(status['conditions']).find(({ type }) => type === 'PodReadyToStartContainers');
  return secondsOf(ready?.['lastTransitionTime']);
}

function stateOf(status: JsonObject, container: string): JsonObject {
  const state = listOf(status['ephemeralContainerStatuses']).find(({ name }) => name === container)?.['state'];
  return isObject(state) ? state : {};
}

function listOf(value: unknown): JsonObject[] {
  return isObjectList(value) ? value : [];
}
