// What is known of namespaces. Filled by the watch on the cluster; empty for ever where there is none.

import { isObject, isTextMap, type JsonObject, shortText } from '../lib/json.ts';
import type { Sink } from './cluster/reflector.ts';

export interface NamespaceLabels {
  name: string;
  labels: Record<string, string>;
}

export interface NamespaceStore extends Sink<NamespaceLabels> {
  /** Labels, or undefined where the namespace is not known; nothing is assumed of such a one. */
  labelsOf(name: string): Record<string, string> | undefined;
}

/** What is kept of a Namespace; undefined where it is none. */
export function namespaceLabels({ metadata }: JsonObject): NamespaceLabels | undefined {
  if (!isObject(metadata)) return undefined;
  const labels = metadata['labels'] ?? {};
  const name = shortText(metadata['name']);
  return name !== '' && isTextMap(labels) ? { name, labels } : undefined;
}

/** Makes an empty store. */
export function createNamespaceStore(): NamespaceStore {
  let known = new Map<string, Record<string, string>>();
  return {
    labelsOf: (name) => known.get(name),
    replace: (items) => {
      known = new Map(items.map(({ name, labels }) => [name, labels]));
    },
    put: ({ name, labels }) => void known.set(name, labels),
    remove: ({ name }) => void known.delete(name),
  };
}
