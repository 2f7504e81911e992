// Which meshes there are, how Istio is set up, and which pods of which namespaces have sidecars. Pure.
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { MESHES } from '../../lib/mesh/meshes.ts';
import { setsLiberalConntrack } from '../../lib/pod/liberal-sysctl.ts';
import { type ClusterAnswers, KUMA_MAP, mapText, objectsOf, otherMeshes } from './cluster-answers.ts';
import {
  OTHER_MESHES,
  type OtherMesh,
  type OtherMeshEvidence,
  type OtherMeshFacts,
  otherMeshAsked,
  readControlPlane,
  readOtherMesh,
} from './other-meshes.ts';
import type { ParseYaml } from './read-kube-proxy.ts';

export interface IstioFacts {
  /** NAMESPACE/DEPLOYMENT, version of the image and revision of each control plane. */
  controlPlanes: { name: string; version: string; revision: string }[];
  /** Whether the node's agent sets up redirection, so that pods need no NET_ADMIN for Istio. */
  cni: boolean;
  ambient: boolean;
  /** INVALID_DROP of the mesh's configuration: true or false where it is set, undefined where it is not. */
  invalidDrop: boolean | undefined;
  tproxy: boolean;
  /** Pods with a sidecar that were read, and how many of them have it as a native one. */
  pods: number;
  nativePods: number;
  /** Pods in which Istio's own rule is configured, that set be_liberal, and whose mesh intercepts with TPROXY. */
  invalidDropPods: number;
  liberalPods: number;
  tproxyPods: number;
}

/** Programs that refuse or change pods by rules of their own. */
const POLICY_ENGINES: [name: string, webhook: RegExp][] = [
  ['Kyverno', /^kyverno-/],
  ['Gatekeeper', /^gatekeeper-/],
];

const OURS = /^invalid-drop-injector$/;

export interface MeshFacts {
  istio: IstioFacts | undefined;
  others: OtherMeshFacts[];
  policyEngines: string[];
  /** Our webhook is there already. */
  installed: boolean;
}

export function readMesh(answers: ClusterAnswers, parseYaml: ParseYaml): MeshFacts {
  const names = objectsOf(answers.lists.webhooks).map(({ metadata }) => shortText(objectAt(metadata)['name']));
  const seen = (table: [string, RegExp][]) =>
    table.filter(([, pattern]) => names.some((name) => pattern.test(name))).map(([name]) => name);
  const pods = objectsOf(answers.lists.meshedPods);
  const hasIstio =
    objectsOf(answers.lists.istiods).length > 0 ||
    names.some((name) => MESHES.istio.injector.test(name)) ||
    pods.length > 0;
  return {
    istio: hasIstio ? readIstio(answers, pods, parseYaml) : undefined,
    others: otherMeshes(answers.lists.webhooks).map((name) =>
      readOtherMesh(name, evidenceOf(name, answers, parseYaml)),
    ),
    policyEngines: seen(POLICY_ENGINES),
    installed: names.some((name) => OURS.test(name)),
  };
}

function evidenceOf(name: OtherMesh, { meshes, configMaps }: ClusterAnswers, parseYaml: ParseYaml): OtherMeshEvidence {
  const { controlPlanes, pods } = meshes[name] ?? {};
  const map = Object.entries(configMaps).find(([key]) => name === 'kuma' && key.endsWith(`/${KUMA_MAP}`))?.[1];
  const text = mapText(map, 'config.yaml');
  return {
    controlPlanes: controlPlanes === undefined ? [] : objectsOf(controlPlanes),
    pods: pods === undefined ? [] : objectsOf(pods),
    config: text === '' ? undefined : parseYaml(text),
  };
}

function readIstio(answers: ClusterAnswers, pods: JsonObject[], parseYaml: ParseYaml): IstioFacts {
  const maps = Object.entries(answers.configMaps);
  const meshes = maps
    .map(([, map]) => mapText(map, 'mesh'))
    .filter((text) => text !== '')
    .map((text) => objectAt(parseYaml(text), 'defaultConfig'));
  const drops = meshes.map((one) => objectAt(one, 'proxyMetadata')['INVALID_DROP']).filter((one) => one !== undefined);
  const daemonSets = objectsOf(answers.lists.daemonSets).map(({ metadata }) => shortText(objectAt(metadata)['name']));
  const count = (has: (pod: JsonObject) => boolean) => pods.filter(has).length;
  return {
    controlPlanes: objectsOf(answers.lists.istiods).map((istiod) => ({
      ...readControlPlane(istiod),
      revision: shortText(objectAt(istiod, 'metadata', 'labels')['istio.io/rev'], 63) || 'default',
    })),
    cni: daemonSets.some((name) => /^istio-cni-node/.test(name)),
    ambient: daemonSets.some((name) => /^ztunnel/.test(name)),
    invalidDrop: drops.length === 0 ? undefined : drops.some((one) => isTrue(one)),
    tproxy: meshes.some((one) => one['interceptionMode'] === 'TPROXY'),
    pods: pods.length,
    nativePods: count((pod) => objectsAt(pod, 'spec', 'initContainers').some(({ name }) => name === 'istio-proxy')),
    invalidDropPods: count((pod) => containersOf(pod).some((one) => isTrue(variable(one, 'INVALID_DROP')))),
    liberalPods: count((pod) => setsLiberalConntrack(objectAt(pod, 'spec'))),
    tproxyPods: count((pod) => annotation(pod, 'sidecar.istio.io/interceptionMode') === 'TPROXY'),
  };
}

function containersOf(pod: JsonObject): JsonObject[] {
  return [...objectsAt(pod, 'spec', 'initContainers'), ...objectsAt(pod, 'spec', 'containers')];
}

function variable(container: JsonObject, name: string): unknown {
  return objectsAt(container, 'env').find((one) => one['name'] === name)?.['value'];
}

const isTrue = (value: unknown) => value === true || value === 'true';

const annotation = (pod: JsonObject, name: string) => objectAt(pod, 'metadata', 'annotations')[name];

/** How a namespace takes part in a mesh: with sidecars of Istio, in its ambient mode, or in another mesh, by title. */
export type MeshShare = 'sidecars' | 'ambient' | (typeof MESHES)[OtherMesh]['title'] | 'none';

export interface NamespaceMesh {
  name: string;
  labels: Record<string, unknown>;
  share: MeshShare;
  /** Pods with a mesh's sidecar that were read. */
  pods: number;
}

/** @returns each namespace; those with the most pods of the mesh first, then those whose labels opt in, then by name */
export function readNamespaces(answers: ClusterAnswers): NamespaceMesh[] {
  const ofIstio = countByNamespace(objectsOf(answers.lists.meshedPods));
  const ofOthers = OTHER_MESHES.flatMap((mesh) => {
    const pods = answers.meshes[mesh]?.pods;
    return pods === undefined ? [] : [{ mesh, counts: countByNamespace(objectsOf(pods)) }];
  });
  const namespaces = objectsOf(answers.lists.namespaces).map(({ metadata }): NamespaceMesh => {
    const { name, labels, annotations } = objectAt(metadata);
    const istio = ofIstio.get(shortText(name)) ?? 0;
    const [other] = ofOthers.filter(({ counts }) => counts.has(shortText(name)));
    const pods = istio + (other?.counts.get(shortText(name)) ?? 0);
    const share = shareByPods(istio, other?.mesh) ?? shareByLabels(objectAt(labels), objectAt(annotations));
    return { name: shortText(name), labels: isObject(labels) ? labels : {}, share, pods };
  });
  const rank = ({ share }: NamespaceMesh) => (share === 'none' ? 1 : 0);
  return namespaces.sort((a, b) => b.pods - a.pods || rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function countByNamespace(pods: JsonObject[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { metadata } of pods) {
    const name = shortText(objectAt(metadata)['namespace']);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function shareByPods(ofIstio: number, other: OtherMesh | undefined): MeshShare | undefined {
  if (ofIstio > 0) return 'sidecars';
  return other && MESHES[other].title;
}

function shareByLabels(labels: JsonObject, annotations: JsonObject): MeshShare {
  if (labels['istio.io/dataplane-mode'] === 'ambient') return 'ambient';
  if (labels['istio-injection'] === 'enabled') return 'sidecars';
  if (shortText(labels['istio.io/rev']) !== '' && labels['istio-injection'] !== 'disabled') return 'sidecars';
  const other = otherMeshAsked(labels, annotations);
  return other === undefined ? 'none' : MESHES[other].title;
}
