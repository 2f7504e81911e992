// What the webhook watches in the cluster: namespaces for decisions, and with the pods for coverage.

import type { ClusterClient } from '../lib/cluster/cluster-client.ts';
import { type Reflection, type ReflectOptions, reflect, type Sink } from '../lib/cluster/reflector.ts';
import type { NodeMode } from '../lib/contract.ts';
import { isObject, isTextMap, type JsonObject, shortText } from '../lib/json.ts';
import type { InjectionSettings } from './admission/containers.ts';
import type { Collection } from './collection/collector.ts';
import { collectFrom } from './collection/start-collection.ts';
import { createCoverageMetrics } from './coverage/coverage-metrics.ts';
import type { CoverageSource } from './coverage/coverage-report.ts';
import { type Coverage, type SeenNamespace, seenNamespace, startCoverage } from './coverage/start-coverage.ts';
import type { EnabledFeatures } from './selfcheck/selfchecks.ts';
import type { Metrics } from './webhook-metrics.ts';

export interface Watches {
  /** Labels of a namespace, or undefined where they are not known. */
  labelsOf(namespace: string): Record<string, string> | undefined;
  /** undefined where coverage is off. */
  coverage(): CoverageSource | undefined;
  /** undefined where nothing is collected from the checkers. */
  collection: Collection | undefined;
  /** Name of each watch, and whether what it watches has been listed. */
  synced: Record<string, () => boolean>;
  stop(): Promise<void>;
}

export interface WatchesOptions extends Pick<ReflectOptions<never>, 'log' | 'retryDelay'> {
  /** undefined: no cluster is configured, and nothing is ever known. */
  client: ClusterClient | undefined;
  features: EnabledFeatures;
  /** Whether the checkers are asked for their figures, where there is coverage. */
  collect: boolean;
  settings: Pick<InjectionSettings, 'image' | 'nodeMode'>;
  metrics: Metrics;
}

export function startWatches({
  client,
  features,
  collect,
  settings,
  metrics,
  log,
  retryDelay,
}: WatchesOptions): Watches {
  const labels = createNamespaceStore();
  let coverage: Coverage | undefined;
  let collection: Collection | undefined;
  const now = () => coverage && { store: coverage.store, synced: coverage.synced(), refused: coverage.refused };
  const { events } = createCoverageMetrics(metrics.registry, now);
  let namespaces: Reflection | undefined;
  if (client) {
    const common = { client, log, retryDelay };
    const countEvent = (result: string) => events.inc({ result });
    if (features.coverage)
      coverage = startCoverage({ ...common, image: settings.image, events: features.events, countEvent });
    if (coverage && collect) collection = collectFrom(coverage.store, metrics.registry);
    const sink = both(labels, coverage?.namespaces);
    const project = projection(settings.nodeMode);
    namespaces = reflect({ ...common, path: '/api/v1/namespaces', what: 'namespaces', project, sink });
  }
  return {
    labelsOf: labels.labelsOf,
    coverage: now,
    collection,
    synced: {
      ...(namespaces && { namespaces: namespaces.synced }),
      ...(coverage && { pods: coverage.synced }),
    },
    async stop() {
      collection?.stop();
      await Promise.all([namespaces?.stop(), coverage?.stop()]);
    },
  };
}

interface Projected {
  labels: NamespaceLabels;
  seen: SeenNamespace;
}

function projection(nodeMode: NodeMode): (object: JsonObject) => Projected | undefined {
  return (object) => {
    const labels = namespaceLabels(object);
    const seen = seenNamespace(object, nodeMode);
    return labels && seen && { labels, seen };
  };
}

/** Labels first: what coverage asks for may depend on them. */
function both(labels: Sink<NamespaceLabels>, seen: Sink<SeenNamespace> | undefined): Sink<Projected> {
  return {
    replace(items) {
      labels.replace(items.map((item) => item.labels));
      seen?.replace(items.map((item) => item.seen));
    },
    put(item) {
      labels.put(item.labels);
      seen?.put(item.seen);
    },
    remove(item) {
      labels.remove(item.labels);
      seen?.remove(item.seen);
    },
  };
}

// Labels of namespaces, from the watch. Stays empty without a cluster.

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
