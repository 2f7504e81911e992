// What `preflight` asks the API server, and what it answered. Nothing here judges.
import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient, Query } from '../../lib/cluster/cluster-client.ts';
import { listPages } from '../../lib/cluster/reflector.ts';
import { type JsonObject, objectAt, shortText } from '../../lib/json.ts';
import { MESHES } from '../../lib/mesh/meshes.ts';
import { OTHER_MESHES, type OtherMesh } from './other-meshes.ts';

/** One answer. `right`: the permission that is missing, such as "list nodes". */
export type ApiAnswer<T> =
  | { state: 'read'; value: T }
  | { state: 'absent' }
  | { state: 'refused'; right: string }
  | { state: 'failed'; why: string };

/** Objects of a list; `more`: there are others that were not read. */
export interface ListedObjects {
  objects: JsonObject[];
  more: boolean;
}

/** After these no further page is read: 5,000 nodes are the most that Kubernetes is made for, and as many pods of the mesh. */
const MOST_LISTED = 5000;

const LISTS = {
  nodes: { path: '/api/v1/nodes', right: 'list nodes' },
  namespaces: { path: '/api/v1/namespaces', right: 'list namespaces' },
  daemonSets: { path: '/apis/apps/v1/daemonsets', right: 'list daemonsets' },
  proxyPods: {
    path: '/api/v1/namespaces/kube-system/pods',
    query: { labelSelector: 'component=kube-proxy' },
    right: 'list pods in namespace kube-system',
  },
  istiods: {
    path: '/apis/apps/v1/deployments',
    query: { labelSelector: MESHES.istio.controlPlane },
    right: 'list deployments',
  },
  webhooks: {
    path: '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
    right: 'list mutatingwebhookconfigurations',
  },
  networkAttachments: {
    path: '/apis/k8s.cni.cncf.io/v1/network-attachment-definitions',
    right: 'list network-attachment-definitions.k8s.cni.cncf.io',
  },
} satisfies Record<string, { path: string; query?: Query; right: string }>;

const OBJECTS = {
  version: { path: '/version', right: 'get /version' },
  apiGroups: { path: '/apis', right: 'get /apis' },
  kubeProxyConfig: configMap('kube-system', 'kube-proxy'),
  eksProxyConfig: configMap('kube-system', 'kube-proxy-config'),
  calicoInstallation: {
    path: '/apis/operator.tigera.io/v1/installations/default',
    right: 'get installations.operator.tigera.io',
  },
  felixConfiguration: {
    path: '/apis/crd.projectcalico.org/v1/felixconfigurations/default',
    right: 'get felixconfigurations.crd.projectcalico.org',
  },
} satisfies Record<string, { path: string; right: string }>;

/**
 * ConfigMaps in the namespace of a DaemonSet, by the name of that: how it carries packets, or the CNI configuration that it writes
 * on nodes. Of their manifests and charts.
 */
const MAPS_BESIDE: [daemonSet: RegExp, name: string][] = [
  [/^cilium$/, 'cilium-config'],
  [/^kube-flannel(-ds)?(-|$)/, 'kube-flannel-cfg'],
  [/^calico-node$/, 'calico-config'],
  [/^canal$/, 'canal-config'],
  [/^rke2-canal$/, 'rke2-canal-config'],
  [/^antrea-agent$/, 'antrea-config'],
  [/^kube-multus-ds/, 'multus-cni-config'],
];

/** All that was asked. */
export interface ClusterAnswers {
  lists: Record<keyof typeof LISTS | 'meshedPods', ApiAnswer<ListedObjects>>;
  objects: Record<keyof typeof OBJECTS, ApiAnswer<JsonObject>>;
  /** By NAMESPACE/NAME: Istio's, and those of the network. */
  configMaps: Record<string, ApiAnswer<JsonObject>>;
  /** Of the meshes other than Istio whose injectors are there. */
  meshes: Partial<Record<OtherMesh, MeshAnswers>>;
}

/** What tells of a mesh other than Istio. */
export interface MeshAnswers {
  controlPlanes: ApiAnswer<ListedObjects>;
  /** Pods with its proxy. */
  pods: ApiAnswer<ListedObjects>;
}

type Client = Pick<ClusterClient, 'get'>;

/**
 * Asks for everything that is read-only and cheap: some lists and some objects. Never rejects for a missing right.
 * @param namespace of the pods to look at; '' for all
 */
export async function askCluster(client: Client, namespace: string): Promise<ClusterAnswers> {
  const pods = namespace === '' ? '/api/v1/pods' : `/api/v1/namespaces/${namespace}/pods`;
  const where = namespace === '' ? '' : ` in namespace ${namespace}`;
  const meshedPods = { path: pods, query: { labelSelector: MESHES.istio.podLabel }, right: `list pods${where}` };
  const lists = await all({ ...LISTS, meshedPods }, (one) => list(client, one));
  const objects = await all(OBJECTS, (one) => object(client, one));
  const meshes: ClusterAnswers['meshes'] = {};
  for (const name of otherMeshes(lists.webhooks)) {
    const { controlPlane, podLabel } = MESHES[name];
    const planes = { path: '/apis/apps/v1/deployments', query: { labelSelector: controlPlane } };
    const controlPlanes = await list(client, { ...planes, right: 'list deployments' });
    meshes[name] = { controlPlanes, pods: await list(client, { ...meshedPods, query: { labelSelector: podLabel } }) };
  }
  const maps = Object.fromEntries(mapsToRead(lists, meshes).map(({ key, ...map }) => [key, map]));
  return { lists, objects, meshes, configMaps: await all(maps, (one) => object(client, one)) };
}

/** Meshes other than Istio whose injectors have webhook configurations. */
export function otherMeshes(webhooks: ApiAnswer<ListedObjects>): OtherMesh[] {
  const names = objectsOf(webhooks).map(({ metadata }) => shortText(objectAt(metadata)['name']));
  return OTHER_MESHES.filter((mesh) => names.some((name) => MESHES[mesh].injector.test(name)));
}

/** One after the other: an API server that is loaded has one request of this command at a time. */
async function all<K extends string, Q, A>(questions: Record<K, Q>, ask: (question: Q) => Promise<A>) {
  const answers: [string, A][] = [];
  for (const [key, question] of Object.entries<Q>(questions)) answers.push([key, await ask(question)]);
  return Object.fromEntries(answers) as Record<K, A>;
}

interface Question {
  path: string;
  query?: Query;
  right: string;
}

async function list(client: Client, { path, query, right }: Question): Promise<ApiAnswer<ListedObjects>> {
  return answered(right, async () => {
    const objects: JsonObject[] = [];
    for await (const page of listPages(client, path, query)) {
      for (const one of page.objects) objects.push(one);
      if (objects.length >= MOST_LISTED) return { objects, more: page.more };
    }
    return { objects, more: false };
  });
}

const object = (client: Client, { path, right }: Question) => answered(right, () => client.get(path));

async function answered<T>(right: string, ask: () => Promise<T>): Promise<ApiAnswer<T>> {
  try {
    return { state: 'read', value: await ask() };
  } catch (error) {
    // Wrong credentials, or no API server: nothing else will be answered either.
    if (!(error instanceof ApiError) || error.status === 401) throw error;
    if (error.status === 404) return { state: 'absent' };
    if (error.status === 403) return { state: 'refused', right };
    return { state: 'failed', why: reasonOf(error) };
  }
}

function configMap(namespace: string, name: string) {
  return {
    path: `/api/v1/namespaces/${namespace}/configmaps/${name}`,
    right: `get configmap ${name} in namespace ${namespace}`,
  };
}

type FoundMap = ReturnType<typeof configMap> & { key: string };

/** At most so many: a cluster has a few revisions of Istio. */
const MOST_MAPS = 20;

/** Kuma's chart has it where a ConfigMap configures the rules (templates/_helpers.tpl, 2.14.3). */
export const KUMA_MAP = 'kuma-transparent-proxy-config';

function mapsToRead(lists: ClusterAnswers['lists'], { kuma }: ClusterAnswers['meshes']): FoundMap[] {
  const found = new Map<string, FoundMap>();
  const add = (namespace: string, name: string) => {
    const key = `${namespace}/${name}`;
    if (namespace !== '') found.set(key, { key, ...configMap(namespace, name) });
  };
  for (const { metadata } of objectsOf(lists.daemonSets)) {
    const { namespace, name } = objectAt(metadata);
    const daemonSet = shortText(name);
    for (const [pattern, map] of MAPS_BESIDE) if (pattern.test(daemonSet)) add(shortText(namespace), map);
  }
  for (const istiod of objectsOf(lists.istiods)) {
    add(shortText(objectAt(istiod, 'metadata')['namespace']), meshMap(istiod));
  }
  for (const { metadata } of kuma === undefined ? [] : objectsOf(kuma.controlPlanes)) {
    add(shortText(objectAt(metadata)['namespace']), KUMA_MAP);
  }
  return [...found.values()].slice(0, MOST_MAPS);
}

/** Of the default revision it has no suffix. */
function meshMap(istiod: JsonObject): string {
  const revision = shortText(objectAt(istiod, 'metadata', 'labels')['istio.io/rev'], 63);
  return revision === '' || revision === 'default' ? 'istio' : `istio-${revision}`;
}

/** The objects of an answer; none where there is none. */
export function objectsOf(answer: ApiAnswer<ListedObjects>): JsonObject[] {
  return answer.state === 'read' ? answer.value.objects : [];
}

/** The value of a ConfigMap's key; '' where it is not there. Longer ones than a ConfigMap may be are cut. */
export function mapText(answer: ApiAnswer<JsonObject> | undefined, key: string): string {
  return answer?.state === 'read' ? shortText(objectAt(answer.value, 'data')[key], 1024 * 1024) : '';
}

/** Why an answer is missing, in words: "could not read nodes: needs list nodes". Empty where it is there, or absent. */
export function missingWords(what: string, answer: ApiAnswer<unknown>): string {
  if (answer.state === 'refused') return `could not read ${what}: needs the right to ${answer.right}`;
  if (answer.state === 'failed') return `could not read ${what}: ${answer.why}`;
  return '';
}
