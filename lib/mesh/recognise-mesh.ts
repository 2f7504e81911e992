// Which mesh redirects a pod's inbound connections, told by the pod and its namespace when it is created. Pure.
import type { JsonObject } from '../json.ts';
import { allContainers, type PodView } from '../pod/pod-view.ts';
import { type InjectionMark, MESH_NAMES, MESHES, type Mesh, type MeshName, meshOf } from './meshes.ts';

/** What decisions read of a Namespace. */
export interface NamespaceMetadata {
  labels: Record<string, string>;
  /** Those of {@link NAMESPACE_ANNOTATIONS} that it has; undefined where they are not known. */
  annotations: Record<string, string> | undefined;
}

/**
 * expected: the mesh's injector is still to come, and reads the pod's annotations then. waiting: it has been through, and its CNI
 * plugin reads annotations when the pod starts. injected: it has been through, and the ports are fixed.
 */
export type MeshStage = 'expected' | 'waiting' | 'injected';

export interface MeshOfPod {
  name: MeshName;
  stage: MeshStage;
}

/** Annotations of namespaces by which meshes inject, or keep ports out of their proxies: all that is read of them. */
export const NAMESPACE_ANNOTATIONS: readonly string[] = MESH_NAMES.flatMap((name) => {
  const { marks, exemption, exemptPorts }: Mesh = MESHES[name];
  const names = marks.filter(({ on, kind }) => on === 'namespace' && kind === 'annotation').map((mark) => mark.name);
  return exemption?.onNamespace && exemptPorts !== undefined ? [...names, exemptPorts] : names;
});

/**
 * Containers count first: they are there. Then what the pod asks for, then its namespace. Two meshes that redirect the same
 * pod are nothing that any of them supports; the first of the table counts.
 * @param namespace undefined where it is not known
 * @returns undefined where nothing tells of a mesh
 */
export function recogniseMesh(pod: PodView, namespace: NamespaceMetadata | undefined): MeshOfPod | undefined {
  const names = new Set(allContainers(pod).map((container) => container['name']));
  const has = (list: readonly string[]) => list.some((name) => names.has(name));
  for (const name of MESH_NAMES) {
    const { init, waiting, proxy } = meshOf(name).containers;
    if (has(init)) return { name, stage: 'injected' };
    if (has(waiting)) return { name, stage: 'waiting' };
    if (has(proxy)) return { name, stage: 'injected' };
  }
  const asked = MESH_NAMES.map((name) => ({ name, by: askedBy(name, pod, namespace) }));
  const found = asked.find(({ by }) => by === 'pod') ?? asked.find(({ by }) => by === 'namespace');
  return found && { name: found.name, stage: 'expected' };
}

/** Who asks for a mesh's injection. A pod that refuses it overrules its namespace. */
function askedBy(
  name: MeshName,
  { labels, annotations }: PodView,
  namespace: NamespaceMetadata | undefined,
): 'pod' | 'namespace' | undefined {
  for (const mark of meshOf(name).marks) {
    const texts = mark.on === 'pod' ? { labels, annotations } : namespace;
    const value = (mark.kind === 'label' ? texts?.labels : texts?.annotations)?.[mark.name];
    if (value === undefined) continue;
    if (turnsOn(mark, value)) return mark.on;
    if (mark.on === 'pod') return undefined;
  }
  return undefined;
}

/** Whether a mark has a value that turns injection on. */
function turnsOn({ values }: InjectionMark, value: string): boolean {
  return values === 'any' ? value !== '' : values.includes(value);
}

/** Whether a namespace with these labels and annotations asks for a mesh's injection. */
export function isMarked(name: MeshName, labels: JsonObject, annotations: JsonObject): boolean {
  return meshOf(name).marks.some((mark) => {
    const value = (mark.kind === 'label' ? labels : annotations)[mark.name];
    return mark.on === 'namespace' && typeof value === 'string' && turnsOn(mark, value);
  });
}
