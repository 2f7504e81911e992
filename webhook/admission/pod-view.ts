// The parts of a Pod that decisions read, checked once, so that later code need not check them.
import { isObject, isObjectList, isTextMap, type JsonObject, objectsAt } from '../../lib/json.ts';

export interface PodView {
  /** undefined where the Pod has none (absent or null): a patch must then add the object itself. */
  annotations: Record<string, string> | undefined;
  labels: Record<string, string>;
  spec: JsonObject;
  containers: JsonObject[];
  /** undefined where the Pod has none (absent or null). */
  initContainers: JsonObject[] | undefined;
}

/**
 * @param object a Pod as the API server sent it
 * @returns the view, which shares the Pod's objects; undefined where metadata, spec, containers, annotations or
 *   labels are not what the Pod API says they are
 */
export function viewPod(object: unknown): PodView | undefined {
  if (!isObject(object)) return undefined;
  const { metadata, spec } = object;
  if (!isObject(metadata) || !isObject(spec)) return undefined;
  const { containers } = spec;
  const initContainers = spec['initContainers'] ?? undefined;
  const annotations = metadata['annotations'] ?? undefined;
  const labels = metadata['labels'] ?? {};
  if (!isObjectList(containers) || containers.length === 0) return undefined;
  if (initContainers !== undefined && !isObjectList(initContainers)) return undefined;
  if (annotations !== undefined && !isTextMap(annotations)) return undefined;
  if (!isTextMap(labels)) return undefined;
  return { annotations, labels, spec, containers, initContainers };
}

/** All containers that run in the pod, init containers first. */
export function allContainers(pod: PodView): JsonObject[] {
  return [...(pod.initContainers ?? []), ...pod.containers];
}

/** The container of that name. Names are unique over containers and init containers. */
export function findContainer({ initContainers, containers }: PodView, name: string): JsonObject | undefined {
  const isIt = (container: JsonObject) => container['name'] === name;
  return initContainers?.find(isIt) ?? containers.find(isIt);
}

/** True where a container of that name is in the pod. */
export function hasContainer(pod: PodView, name: string): boolean {
  return findContainer(pod, name) !== undefined;
}

/**
 * True where a container that runs as long as the application declares the TCP port. A declaration is no promise, and
 * a container may listen without one.
 * @param ours names of containers that do not count
 */
export function declaresPort({ initContainers, containers }: PodView, port: number, ours: readonly string[]): boolean {
  const sidecars = (initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const others = [...sidecars, ...containers].filter(({ name }) => !ours.some((our) => our === name));
  return others.some((container) =>
    objectsAt(container, 'ports').some((one) => one['containerPort'] === port && (one['protocol'] ?? 'TCP') === 'TCP'),
  );
}

/** True where the pod is meant to end by itself, as a Job's is. An absent restartPolicy means Always. */
export function ends(pod: PodView): boolean {
  const policy = pod.spec['restartPolicy'] ?? 'Always';
  return policy !== 'Always';
}

/**
 * The resources that the pod budgets as a whole (`spec.resources`, Kubernetes 1.32 and later). The API server
 * refuses containers whose own requests and limits do not fit into that budget.
 * @returns names such as `cpu`
 */
export function podLevelResources(pod: PodView): string[] {
  const { resources } = pod.spec;
  if (!isObject(resources)) return [];
  return [resources['requests'], resources['limits']].filter(isObject).flatMap(Object.keys);
}
