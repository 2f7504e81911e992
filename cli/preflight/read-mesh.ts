// Which meshes there are, how Istio is set up, and which pods of which namespaces have sidecars. Pure.
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { type ClusterAnswers, mapText, objectsOf } from './cluster-answers.ts';
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

/** Other meshes are reported only: each by its injector's webhook configuration. */
const OTHER_MESHES: [name: string, webhook: RegExp][] = [
  ['Linkerd', /^linkerd-proxy-injector/],
  ['Kuma', /^kuma-admission-mutating|^kong-mesh-admission-mutating/],
  ['Consul', /connect-injector/],
  ['Open Service Mesh', /^osm-webhook/],
];

/** Programs that refuse or change pods by rules of their own. */
const POLICY_ENGINES: [name: string, webhook: RegExp][] = [
  ['Kyverno', /^kyverno-/],
  ['Gatekeeper', /^gatekeeper-/],
];

const ISTIO_INJECTOR = /^istio-(sidecar-injector|revision-tag)/;
const OURS = /^invalid-drop-injector$/;

export interface MeshFacts {
  istio: IstioFacts | undefined;
  others: string[];
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
    objectsOf(answers.lists.istiods).length > 0 || names.some((name) => ISTIO_INJECTOR.test(name)) || pods.length > 0;
  return {
    istio: hasIstio ? readIstio(answers, pods, parseYaml) : undefined,
    others: seen(OTHER_MESHES),
    policyEngines: seen(POLICY_ENGINES),
    installed: names.some((name) => OURS.test(name)),
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
    controlPlanes: objectsOf(answers.lists.istiods).map(readControlPlane),
    cni: daemonSets.some((name) => /^istio-cni-node/.test(name)),
    ambient: daemonSets.some((name) => /^ztunnel/.test(name)),
    invalidDrop: drops.length === 0 ? undefined : drops.some((one) => isTrue(one)),
    tproxy: meshes.some((one) => one['interceptionMode'] === 'TPROXY'),
    pods: pods.length,
    nativePods: count((pod) => objectsAt(pod, 'spec', 'initContainers').some(({ name }) => name === 'istio-proxy')),
    invalidDropPods: count((pod) => containersOf(pod).some((one) => isTrue(variable(one, 'INVALID_DROP')))),
    liberalPods: count(isLiberal),
    tproxyPods: count((pod) => annotation(pod, 'sidecar.istio.io/interceptionMode') === 'TPROXY'),
  };
}

function readControlPlane(istiod: JsonObject) {
  const { name, namespace, labels } = objectAt(istiod, 'metadata');
  const [first] = objectsAt(istiod, 'spec', 'template', 'spec', 'containers');
  const image = shortText(first?.['image'], 300).replace(/@sha256:.*$/, '');
  return {
    name: `${shortText(namespace)}/${shortText(name)}`,
    version: /:([^:/]+)$/.exec(image)?.[1] ?? 'not known',
    revision: shortText(objectAt(labels)['istio.io/rev'], 63) || 'default',
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

function isLiberal(pod: JsonObject): boolean {
  const sysctls = objectsAt(pod, 'spec', 'securityContext', 'sysctls');
  return sysctls.some(({ name, value }) => name === 'net.netfilter.nf_conntrack_tcp_be_liberal' && value === '1');
}

/** How a namespace takes part in a mesh. */
export type MeshShare = 'sidecars' | 'ambient' | 'other mesh' | 'none';

export interface NamespaceMesh {
  name: string;
  labels: Record<string, unknown>;
  share: MeshShare;
  /** Pods with a sidecar of Istio that were read. */
  pods: number;
}

/** @returns each namespace; those with the most pods of the mesh first, then those whose labels opt in, then by name */
export function readNamespaces(answers: ClusterAnswers): NamespaceMesh[] {
  const counts = new Map<string, number>();
  for (const pod of objectsOf(answers.lists.meshedPods)) {
    const name = shortText(objectAt(pod, 'metadata')['namespace']);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const namespaces = objectsOf(answers.lists.namespaces).map(({ metadata }): NamespaceMesh => {
    const { name, labels, annotations } = objectAt(metadata);
    const pods = counts.get(shortText(name)) ?? 0;
    const share = pods > 0 ? 'sidecars' : shareByLabels(objectAt(labels), objectAt(annotations));
    return { name: shortText(name), labels: isObject(labels) ? labels : {}, share, pods };
  });
  const rank = ({ share }: NamespaceMesh) => (share === 'none' ? 1 : 0);
  return namespaces.sort((a, b) => b.pods - a.pods || rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function shareByLabels(labels: JsonObject, annotations: JsonObject): MeshShare {
  if (labels['istio.io/dataplane-mode'] === 'ambient') return 'ambient';
  if (labels['istio-injection'] === 'enabled') return 'sidecars';
  if (shortText(labels['istio.io/rev']) !== '' && labels['istio-injection'] !== 'disabled') return 'sidecars';
  const linkerd = ['enabled', 'ingress'].some((value) => annotations['linkerd.io/inject'] === value);
  const kuma = labels['kuma.io/sidecar-injection'] === 'enabled';
  const consul = labels['consul.hashicorp.com/connect-inject'] === 'true';
  const osm = shortText(labels['openservicemesh.io/monitored-by']) !== '';
  return linkerd || kuma || consul || osm ? 'other mesh' : 'none';
}
