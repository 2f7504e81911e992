// An API server with the pods of one node and the opted-in namespaces, as the agent asks for them: lists, watches, and
// patches of status, which come back as events.

import { randomUUID } from 'node:crypto';
import { GUARDED_CONDITION, OPT_IN_LABEL } from '../../lib/contract.ts';
import { isObjectList, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { type FakeApiServer, startFakeApiServer } from '../webhook/fake-api-server.ts';

export const NODE = 'node-1';
const PODS = '/api/v1/pods';
const NAMESPACES = '/api/v1/namespaces';

export interface MadePod {
  name: string;
  namespace?: string;
  uid?: string;
  gate?: boolean;
  addresses?: string[];
  annotations?: Record<string, string>;
  spec?: JsonObject;
  status?: JsonObject;
  metadata?: JsonObject;
}

/** A pod as the API server has it. */
export function madePod({ name, namespace = 'shop', uid = randomUUID(), gate = false, ...more }: MadePod): JsonObject {
  const { addresses = [], annotations, spec, status, metadata } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid, ...(annotations && { annotations }), ...metadata },
    spec: {
      nodeName: NODE,
      containers: [{ name: 'app', image: 'app' }],
      ...(gate && { readinessGates: [{ conditionType: GUARDED_CONDITION }] }),
      ...spec,
    },
    status: { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })), ...status },
  };
}

export interface NodeApi {
  server: FakeApiServer;
  /** Patches of status that came, in order, refused ones among them. */
  patches: { path: string; body: JsonObject }[];
  /** While it is not 0, each request is answered with it, and watches have ended. */
  failWith(status: number): void;
  /** Creates or changes a pod. */
  put(pod: JsonObject): void;
  remove(namespace: string, name: string): void;
  /** Sets the value of the namespace's label; undefined: removes it. */
  label(namespace: string, value: string | undefined): void;
  /** Our condition in the pod's status. */
  conditionOf(namespace: string, name: string): JsonObject | undefined;
}

export async function startNodeApi(): Promise<NodeApi> {
  const server = await startFakeApiServer([]);
  const pods = new Map<string, JsonObject>();
  const labels = new Map<string, string>();
  const patches: NodeApi['patches'] = [];
  let [version, failing] = [1000, 0];

  const versioned = (object: JsonObject): JsonObject => {
    version += 1;
    return { ...object, metadata: { ...objectAt(object, 'metadata'), resourceVersion: String(version) } };
  };
  const namespaceOf = (name: string, value: string | undefined) =>
    versioned({ kind: 'Namespace', metadata: { name, labels: value === undefined ? {} : { [OPT_IN_LABEL]: value } } });
  const list = (items: JsonObject[]) => ({ metadata: { resourceVersion: String(version) }, items });
  const refuse = (status: number) => ({ status, body: { kind: 'Status', code: status } });

  function patch(path: string, text: string) {
    const body = JSON.parse(text) as JsonObject;
    patches.push({ path, body });
    const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/status$/.exec(path) ?? [];
    const pod = pods.get(`${namespace}/${name}`);
    if (pod === undefined) return refuse(404);
    const { uid } = objectAt(body, 'metadata');
    if (uid !== undefined && uid !== objectAt(pod, 'metadata')['uid']) return refuse(409);
    const written = objectsAt(body, 'status', 'conditions');
    const status = objectAt(pod, 'status');
    const before = isObjectList(status['conditions']) ? status['conditions'] : [];
    const kept = before.filter(({ type }) => !written.some((one) => one['type'] === type));
    put({ ...pod, status: { ...status, conditions: [...kept, ...written] } });
    return { status: 200, body: pods.get(`${namespace}/${name}`) ?? {} };
  }

  function put(pod: JsonObject): void {
    const { namespace, name } = objectAt(pod, 'metadata');
    const key = `${namespace}/${name}`;
    const type = pods.has(key) ? 'MODIFIED' : 'ADDED';
    const now = versioned(pod);
    pods.set(key, now);
    server.send(type, now, PODS);
  }

  server.answer = (method, url, body) => {
    if (failing > 0) return refuse(failing);
    if (method === 'PATCH') return patch(url.pathname, body);
    if (url.searchParams.get('watch') === 'true') return undefined;
    if (url.pathname === PODS) return { status: 200, body: list([...pods.values()]) };
    return { status: 200, body: list([...labels].map(([name, value]) => namespaceOf(name, value))) };
  };
  return {
    server,
    patches,
    failWith(status) {
      failing = status;
      if (status > 0) server.endWatches();
    },
    put,
    remove(namespace, name) {
      const pod = pods.get(`${namespace}/${name}`);
      pods.delete(`${namespace}/${name}`);
      if (pod) server.send('DELETED', versioned(pod), PODS);
    },
    label(namespace, value) {
      const type = value === undefined ? 'DELETED' : labels.has(namespace) ? 'MODIFIED' : 'ADDED';
      if (value === undefined) labels.delete(namespace);
      else labels.set(namespace, value);
      server.send(type, namespaceOf(namespace, value), NAMESPACES);
    },
    conditionOf(namespace, name) {
      const all = objectsAt(pods.get(`${namespace}/${name}`), 'status', 'conditions');
      return all.find(({ type }) => shortText(type) === GUARDED_CONDITION);
    },
  };
}
