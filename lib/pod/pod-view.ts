// The parts of a Pod that decisions read, checked once, so that later code need not check them.
import { isObject, isObjectList, isTextMap, type JsonObject, objectAt, objectsAt, shortText } from '../json.ts';

export interface PodView {
  /** undefined where the Pod has none (absent or null): a patch must then add the object itself. */
  annotations: Record<string, string> | undefined;
  labels: Record<string, string>;
  spec: JsonObject;
  containers: JsonObject[];
  /** undefined where the Pod has none (absent or null), as the next two. */
  initContainers: JsonObject[] | undefined;
  readinessGates: JsonObject[] | undefined;
  imagePullSecrets: JsonObject[] | undefined;
}

/**
 * @param object a Pod as the API server sent it
 * @returns the view, which shares the Pod's objects; undefined where metadata, spec, containers, readiness gates, pull secrets,
 *   annotations or labels are not what the Pod API says they are
 */
export function viewPod(object: unknown): PodView | undefined {
  if (!isObject(object)) return undefined;
  const { metadata, spec } = object;
  if (!isObject(metadata) || !isObject(spec)) return undefined;
  const { containers } = spec;
  const initContainers = spec['initContainers'] ?? undefined;
  const readinessGates = spec['readinessGates'] ?? undefined;
  const imagePullSecrets = spec['imagePullSecrets'] ?? undefined;
  const annotations = metadata['annotations'] ?? undefined;
  const labels = metadata['labels'] ?? {};
  if (!isObjectList(containers) || containers.length === 0) return undefined;
  if (initContainers !== undefined && !isObjectList(initContainers)) return undefined;
  if (readinessGates !== undefined && !isObjectList(readinessGates)) return undefined;
  if (imagePullSecrets !== undefined && !isObjectList(imagePullSecrets)) return undefined;
  if (annotations !== undefined && !isTextMap(annotations)) return undefined;
  if (!isTextMap(labels)) return undefined;
  return { annotations, labels, spec, containers, initContainers, readinessGates, imagePullSecrets };
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

/** What a pod sets for all of its containers, as far as ours must not inherit it. */
export interface PodLevelSettings {
  /** An AppArmor profile of the node's administrator, which need not allow NET_ADMIN. Its node has AppArmor then. */
  localhostAppArmor: boolean;
  /** SELinux options: the level, by which containers of a pod share files and sockets, or '' where they name none. */
  seLinuxLevel: string | undefined;
}

/** Of a pod that sets nothing for all. */
export const NO_POD_LEVEL: PodLevelSettings = { localhostAppArmor: false, seLinuxLevel: undefined };

/** From `spec.securityContext`. */
export function podLevelSettings({ spec }: PodView): PodLevelSettings {
  const { seLinuxOptions } = objectAt(spec, 'securityContext');
  return {
    localhostAppArmor: objectAt(spec, 'securityContext', 'appArmorProfile')['type'] === 'Localhost',
    seLinuxLevel: isObject(seLinuxOptions) ? shortText(seLinuxOptions['level']) : undefined,
  };
}

/**
 * True where the pod can only run on nodes that have one of these labels with the value: by node selector, or by
 * required node affinity, whose terms are alternatives.
 */
export function requiresNode({ spec }: PodView, labels: readonly string[], value: string): boolean {
  const selector = objectAt(spec, 'nodeSelector');
  if (labels.some((label) => selector[label] === value)) return true;
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const terms = objectsAt(spec, 'affinity', 'nodeAffinity', required, 'nodeSelectorTerms');
  const demands = ({ key, operator, values }: JsonObject) =>
    labels.some((label) => label === key) && operator === 'In' && isOnly(values, value);
  return terms.length > 0 && terms.every((term) => objectsAt(term, 'matchExpressions').some(demands));
}

function isOnly(values: unknown, value: string): boolean {
  return Array.isArray(values) && values.length > 0 && values.every((one) => one === value);
}
