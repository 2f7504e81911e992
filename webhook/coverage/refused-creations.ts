// Pods that the API server refused to create, as the Events of those tell who were to create them: there is no pod to count.

import type { Sink } from '../../lib/cluster/reflector.ts';
import { isObject, type JsonObject, objectAt, shortText } from '../../lib/json.ts';

/** Who could not create pods, and why, the last time. */
export interface RefusedCreation {
  namespace: string;
  /** Such as ReplicaSet/store-6d4cf56db6. */
  owner: string;
  message: string;
  /** Whether the refusal names what the webhook adds: the pod may be created without it. */
  namesOurs: boolean;
  lastSeen: string;
}

/** An Event and what it tells. The API server deletes Events after an hour, unless it is told otherwise (--event-ttl). */
interface RefusalEvent {
  name: string;
  refused: RefusedCreation;
}

/** Selector of the Events that controllers write (k8s.io/kubernetes, pkg/controller/controller_utils.go). */
export const REFUSAL_EVENTS = { fieldSelector: 'reason=FailedCreate' };
/** ReplicaSets, DaemonSets and Jobs write the first, StatefulSets the second; they write others of claims. */
const OF_PODS = /^(Error creating: |create Pod )/;
const MAX_MESSAGE = 400;
/** Events that are kept. A workload has one or two. */
const MAX_EVENTS = 1000;

/** What is kept of an Event; undefined where it is not about a pod that was refused. */
export function refusalEvent(event: JsonObject): RefusalEvent | undefined {
  const metadata = objectAt(event, 'metadata');
  const involved = objectAt(event, 'involvedObject');
  const message = shortText(event['message'], 4 * MAX_MESSAGE);
  if (!isObject(event['metadata']) || !OF_PODS.test(message)) return undefined;
  const series = objectAt(event, 'series');
  const times = [series['lastObservedTime'], event['lastTimestamp'], event['eventTime'], metadata['creationTimestamp']];
  return {
    name: `${shortText(metadata['namespace'])}/${shortText(metadata['name'])}`,
    refused: {
      namespace: shortText(metadata['namespace']),
      owner: `${shortText(involved['kind'], 60)}/${shortText(involved['name'])}`,
      message: message.slice(0, MAX_MESSAGE),
      namesOurs: message.includes('invalid-drop'),
      lastSeen: times.map((time) => shortText(time, 60)).find((time) => time !== '') ?? '',
    },
  };
}

export interface RefusedCreations extends Sink<RefusalEvent> {
  /** The last refusal of each owner in covered namespaces, by namespace and owner. */
  list(): RefusedCreation[];
}

/** @param covers whether a namespace is opted in */
export function createRefusedCreations(covers: (namespace: string) => boolean): RefusedCreations {
  const events = new Map<string, RefusedCreation>();
  const put = ({ name, refused }: RefusalEvent) => {
    events.delete(name);
    events.set(name, refused);
    const [oldest] = events.keys();
    if (events.size > MAX_EVENTS && oldest !== undefined) events.delete(oldest);
  };
  return {
    put,
    remove: ({ name }) => void events.delete(name),
    replace(items) {
      events.clear();
      for (const item of items) put(item);
    },
    list() {
      const last = new Map<string, RefusedCreation>();
      for (const one of events.values()) {
        if (!covers(one.namespace)) continue;
        const key = `${one.namespace}/${one.owner}`;
        const known = last.get(key);
        if (!known || Date.parse(one.lastSeen) >= Date.parse(known.lastSeen)) last.set(key, one);
      }
      return [...last].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
    },
  };
}
