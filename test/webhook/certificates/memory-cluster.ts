// A Secret and a webhook configuration in memory, with the API server's rules on versions. A real one is in test/e2e.

import { ApiError } from '../../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../../lib/cluster/cluster-client.ts';
import { WEBHOOK_CONFIGURATION } from '../../../lib/contract.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { CONFIGURATIONS_PATH, SECRETS_PATH } from '../../../webhook/certificates/certificate-reconciler.ts';
import { SECRET } from '../../../webhook/certificates/tls-secret.ts';
import type { WatchedObject } from '../../../webhook/certificates/watched-object.ts';

export const SECRET_PATH = `${SECRETS_PATH}/${SECRET}`;
export const CONFIGURATION_PATH = `${CONFIGURATIONS_PATH}/${WEBHOOK_CONFIGURATION}`;

export interface MemoryCluster {
  client: ClusterClient;
  get(path: string): JsonObject | undefined;
  put(path: string, object: JsonObject): JsonObject;
  remove(path: string): void;
  /** What one replica's watch knows: what was there when it was last told. */
  watch(path: string): WatchedObject & { tell(): void };
}

export function memoryCluster(): MemoryCluster {
  const objects = new Map<string, JsonObject>();
  let version = 0;
  const versionOf = (object: JsonObject | undefined) =>
    (object?.['metadata'] as JsonObject | undefined)?.['resourceVersion'];
  const put = (path: string, object: JsonObject) => {
    version += 1;
    const stored = structuredClone(object);
    stored['metadata'] = { ...(object['metadata'] as JsonObject), resourceVersion: String(version) };
    objects.set(path, stored);
    return structuredClone(stored);
  };
  const present = (path: string) => {
    const object = objects.get(path);
    if (object === undefined) throw new ApiError(404, 'NotFound', path);
    return object;
  };
  const client: ClusterClient = {
    get: async (path) => structuredClone(present(path)),
    create: async (path, body) => {
      const name = `${path}/${(body['metadata'] as JsonObject)['name']}`;
      if (objects.has(name)) throw new ApiError(409, 'AlreadyExists', name);
      return put(name, body);
    },
    replace: async (path, body) => {
      if (versionOf(present(path)) !== versionOf(body)) throw new ApiError(409, 'Conflict', path);
      return put(path, body);
    },
    patch: async (path, [test, ...additions]) => {
      const object = structuredClone(present(path)) as { webhooks: { clientConfig: JsonObject }[] } & JsonObject;
      if (test?.['value'] !== versionOf(object)) throw new ApiError(422, 'Invalid', 'the test failed');
      for (const { path: where, value } of additions) {
        const index = Number(String(where).split('/')[2]);
        const webhook = object.webhooks[index];
        if (webhook) webhook.clientConfig['caBundle'] = value;
      }
      return put(path, object);
    },
    watch: () => {
      throw new Error('not here');
    },
  };
  return {
    client,
    get: (path) => structuredClone(objects.get(path)),
    put,
    remove: (path) => void objects.delete(path),
    watch(path) {
      let held: JsonObject | undefined;
      return {
        tell: () => {
          held = structuredClone(objects.get(path));
        },
        object: () => held,
        synced: () => true,
        set: (object) => {
          held = object;
        },
        stop: async () => {},
      };
    },
  };
}
