// What is known of namespaces. Filled by the watch on the cluster; empty for ever where there is none.

export interface NamespaceStore {
  /** Labels, or undefined where the namespace is not known; nothing is assumed of such a one. */
  labelsOf(name: string): Record<string, string> | undefined;
  put(name: string, labels: Record<string, string>): void;
  remove(name: string): void;
}

/** Makes an empty store. */
export function createNamespaceStore(): NamespaceStore {
  const known = new Map<string, Record<string, string>>();
  return {
    labelsOf: (name) => known.get(name),
    put: (name, labels) => void known.set(name, labels),
    remove: (name) => void known.delete(name),
  };
}
