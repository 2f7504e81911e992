// One named object of the cluster, kept up to date by a watch.

import { type ReflectOptions, reflect } from '../../lib/cluster/reflector.ts';
import { isObject, type JsonObject, shortText } from '../../lib/json.ts';

export interface WatchedObject {
  /** undefined: there is none, or nothing is known yet (see synced). */
  object(): JsonObject | undefined;
  /** True once it is known whether there is one. */
  synced(): boolean;
  /** Takes an object from an answer of the API server, so that the caller need not wait for the watch. */
  set(object: JsonObject | undefined): void;
  stop(): Promise<void>;
}

type Options = Pick<ReflectOptions<JsonObject>, 'client' | 'path' | 'what' | 'log' | 'retryDelay'> & {
  name: string;
  /** Called when the object, or that there is none, has become known. */
  changed(): void;
};

/** Watches the object. Older versions than the known one are ignored, because an answer can overtake the watch. */
export function watchObject({ name, changed, ...options }: Options): WatchedObject {
  let known: JsonObject | undefined;
  const change = (object: JsonObject | undefined) => {
    known = object;
    changed();
  };
  const reflection = reflect<JsonObject>({
    ...options,
    query: { fieldSelector: `metadata.name=${name}` },
    project: (object) => object,
    sink: {
      replace: ([object]) => change(object),
      put: (object) => isOlder(object, known) || change(object),
      remove: (object) => isOlder(object, known) || change(undefined),
    },
  });
  return {
    object: () => known,
    synced: reflection.synced,
    set: (object) => {
      known = object;
    },
    stop: reflection.stop,
  };
}

/** Versions of one collection grow (documented since Kubernetes 1.35, true of every release with etcd). */
function isOlder(object: JsonObject, than: JsonObject | undefined): boolean {
  const [one, other] = [versionOf(object), versionOf(than)];
  if (!/^\d+$/.test(one) || !/^\d+$/.test(other)) return false;
  return BigInt(one) < BigInt(other);
}

function versionOf(object: JsonObject | undefined): string {
  const metadata = object?.['metadata'];
  return isObject(metadata) ? shortText(metadata['resourceVersion']) : '';
}
