// All pods of opted-in namespaces with their reason, counted as they come and go.

import type { CoverageReason } from './coverage-reasons.ts';
import { type CoveredNamespace, changesWithTime, podReason } from './pod-reason.ts';
import type { PodOwner, PodRecord, SeenPod } from './pod-record.ts';

export type Counts = Partial<Record<CoverageReason, number>>;

export interface Change {
  namespace: string;
  pod: string;
  from: CoverageReason | undefined;
  /** undefined: it is gone. */
  to: CoverageReason | undefined;
  /** Known where the pod itself has changed, or was starting. */
  owner: PodOwner | undefined;
}

interface Entry {
  record: PodRecord;
  reason: CoverageReason;
}

interface Covered {
  settings: CoveredNamespace;
  pods: Map<string, Entry>;
  counts: Counts;
}

export type CoverageStore = ReturnType<typeof createCoverageStore>;

/**
 * @param changed called for each pod whose reason has changed
 * @param now seconds since 1970
 */
export function createCoverageStore(changed: (change: Change) => void, now: () => number) {
  const namespaces = new Map<string, Covered>();
  /** Pods whose reason changes with time alone, and the owner of the Event that follows. */
  const starting = new Map<string, { namespace: string; pod: string; owner: PodOwner | undefined }>();

  function setReason(covered: Covered, entry: Entry, reason: CoverageReason, told?: PodOwner, isNew = false): void {
    const { namespace, name } = entry.record;
    const from = isNew ? undefined : entry.reason;
    const key = `${namespace}/${name}`;
    const owner = told ?? starting.get(key)?.owner;
    if (reason === 'starting' && changesWithTime(entry.record)) starting.set(key, { namespace, pod: name, owner });
    else starting.delete(key);
    if (from === reason) return;
    if (from !== undefined) count(covered, from, -1);
    entry.reason = reason;
    count(covered, reason, 1);
    changed({ namespace, pod: name, from, to: reason, owner });
  }

  function drop(covered: Covered, { record, reason }: Entry): void {
    const { namespace, name } = record;
    covered.pods.delete(name);
    starting.delete(`${namespace}/${name}`);
    count(covered, reason, -1);
    changed({ namespace, pod: name, from: reason, to: undefined, owner: undefined });
  }

  function put({ record, owner, gone }: SeenPod): void {
    const covered = namespaces.get(record.namespace);
    if (covered === undefined) return;
    const known = covered.pods.get(record.name);
    if (gone) {
      if (known !== undefined) drop(covered, known);
      return;
    }
    const reason = podReason(record, covered.settings, now());
    const entry = known ?? { record, reason };
    entry.record = record;
    covered.pods.set(record.name, entry);
    setReason(covered, entry, reason, owner, known === undefined);
  }

  return {
    /** Pods that a checker guards, and where it answers. A pod keeps its identity for its life. */
    *checkers() {
      for (const [namespace, { pods }] of namespaces) {
        for (const [pod, entry] of pods) {
          const { reason, record } = entry;
          const { checkerIp: ip, checkerPort: port } = record;
          if (ip === '' || (reason !== 'guarded' && reason !== 'guarded-by-older-version')) continue;
          yield { identity: entry as object, namespace, pod, ip, port, startedAt: record.startedAt * 1000 };
        }
      }
    },
    /** Pods that the agent of their node guards, with node and uid. A pod keeps its identity for its life. */
    *agentPods() {
      for (const [namespace, { pods }] of namespaces) {
        for (const [pod, entry] of pods) {
          const { agentNode: node, agentUid: uid, startedAt } = entry.record;
          if (entry.reason !== 'guarded-by-agent' || node === '' || uid === '') continue;
          yield { identity: entry as object, namespace, pod, node, uid, startedAt: startedAt * 1000 };
        }
      }
    },
    /** Opts a namespace in, or changes what is known of it. @returns true where it was not opted in before */
    cover(name: string, settings: CoveredNamespace): boolean {
      const covered = namespaces.get(name);
      if (covered === undefined) {
        namespaces.set(name, { settings, pods: new Map(), counts: {} });
        return true;
      }
      covered.settings = settings;
      for (const entry of covered.pods.values()) {
        setReason(covered, entry, podReason(entry.record, settings, now()));
      }
      return false;
    },
    /** Opts a namespace out. */
    uncover(name: string): void {
      const covered = namespaces.get(name);
      for (const entry of covered?.pods.values() ?? []) if (covered) drop(covered, entry);
      namespaces.delete(name);
    },
    put,
    remove({ record }: SeenPod): void {
      const covered = namespaces.get(record.namespace);
      const entry = covered?.pods.get(record.name);
      if (covered && entry) drop(covered, entry);
    },
    /** After a list: those that are not among the pods are gone. */
    replace(pods: SeenPod[]): void {
      const there = new Set(pods.map(({ record }) => `${record.namespace}/${record.name}`));
      for (const [namespace, covered] of namespaces) {
        for (const entry of [...covered.pods.values()]) {
          if (!there.has(`${namespace}/${entry.record.name}`)) drop(covered, entry);
        }
      }
      for (const pod of pods) put(pod);
    },
    /** Evaluates pods whose reason changes with time alone. */
    tick(): void {
      for (const { namespace, pod } of [...starting.values()]) {
        const covered = namespaces.get(namespace);
        const entry = covered?.pods.get(pod);
        if (covered && entry) setReason(covered, entry, podReason(entry.record, covered.settings, now()));
      }
    },
    covers: (namespace: string) => namespaces.has(namespace),
    names: () => [...namespaces.keys()],
    /**
     * Every opted-in namespace with what guards its new pods and its counts, in order of name.
     * @param only a namespace; '' for all
     */
    counts(only = ''): { namespace: string; placement: CoveredNamespace['placement']; counts: Counts }[] {
      const one = namespaces.get(only);
      const asked: [string, Covered][] = only === '' ? [...namespaces] : one ? [[only, one]] : [];
      const sorted = asked.sort(([a], [b]) => (a < b ? -1 : 1));
      return sorted.map(([namespace, { settings, counts }]) => ({ namespace, placement: settings.placement, counts }));
    },
    /**
     * Every pod with its reason.
     * @param only a namespace; '' for all
     */
    *pods(only = ''): Generator<{ namespace: string; pod: string; reason: CoverageReason }> {
      for (const [namespace, { pods }] of namespaces) {
        if (only !== '' && namespace !== only) continue;
        for (const [pod, { reason }] of pods) yield { namespace, pod, reason };
      }
    },
  };
}

function count({ counts }: Covered, reason: CoverageReason, by: 1 | -1): void {
  const value = (counts[reason] ?? 0) + by;
  if (value === 0) delete counts[reason];
  else counts[reason] = value;
}
