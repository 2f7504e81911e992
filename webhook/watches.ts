// What the webhook watches in the cluster: namespaces for decisions, and with the pods for coverage.

import type { ClusterClient } from '../lib/cluster/cluster-client.ts';
import { type Reflection, type ReflectOptions, reflect, type Sink } from '../lib/cluster/reflector.ts';
import type { NodeMode } from '../lib/contract.ts';
import { isObject, isTextMap, type JsonObject, shortText } from '../lib/json.ts';
import { NAMESPACE_ANNOTATIONS, type NamespaceMetadata } from '../lib/mesh/recognise-mesh.ts';
import type { InjectionSettings } from './admission/containers.ts';
import { type AgentAddresses, watchAgents } from './collection/agent-addresses.ts';
import type { Collection } from './collection/collector.ts';
import { startCollection } from './collection/start-collection.ts';
import { createCoverageMetrics } from './coverage/coverage-metrics.ts';
import type { CoverageSource } from './coverage/coverage-report.ts';
import { type Coverage, type SeenNamespace, seenNamespace, startCoverage } from './coverage/start-coverage.ts';
import type { EnabledFeatures } from './selfcheck/selfchecks.ts';
import type { Metrics } from './webhook-metrics.ts';

export interface Watches {
  /** What decisions read of a namespace, or undefined where it is not known. */
  namespaceOf(namespace: string): NamespaceMetadata | undefined;
  /** undefined where coverage is off. */
  coverage(): CoverageSource | undefined;
  /** undefined where nothing is collected from checkers and agents. */
  collection: Collection | undefined;
  /** Name of each watch, and whether what it watches has been listed. */
  synced: Record<string, () => boolean>;
  stop(): Promise<void>;
}

export interface WatchesOptions extends Pick<ReflectOptions<never>, 'log' | 'retryDelay'> {
  /** undefined: no cluster is configured, and nothing is ever known. */
  client: ClusterClient | undefined;
  features: EnabledFeatures;
  /** Whether checkers and node agents are asked for their figures, where there is coverage. */
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
  const known = createNamespaceStore();
  let coverage: Coverage | undefined;
  let agents: AgentAddresses | undefined;
  let collection: Collection | undefined;
  const now = () => coverage && { store: coverage.store, synced: coverage.synced(), refused: coverage.refused };
  const { events } = createCoverageMetrics(metrics.registry, now);
  let namespaces: Reflection | undefined;
  if (client) {
    const common = { client, log, retryDelay };
    const countEvent = (result: string) => events.inc({ result });
    if (features.coverage)
      coverage = startCoverage({ ...common, image: settings.image, events: features.events, countEvent });
    if (coverage && collect) {
      if (settings.nodeMode !== 'disabled') agents = watchAgents(common);
      collection = startCollection({ store: coverage.store, agents, registry: metrics.registry });
    }
    const sink = both(known, coverage?.namespaces);
    const project = projection(settings.nodeMode);
    namespaces = reflect({ ...common, path: '/api/v1/namespaces', what: 'namespaces', project, sink });
  }
  return {
    namespaceOf: known.namespaceOf,
    coverage: now,
    collection,
    synced: {
      ...(namespaces && { namespaces: namespaces.synced }),
      ...(coverage && { pods: coverage.synced }),
    },
    async stop() {
      collection?.stop();
      await Promise.all([namespaces?.stop(), coverage?.stop(), agents?.stop()]);
    },
  };
}

interface Projected {
  known: KnownNamespace;
  seen: SeenNamespace;
}

function projection(nodeMode: NodeMode): (object: JsonObject) => Projected | undefined {
  return (object) => {
    const known = knownNamespace(object);
    const seen = seenNamespace(object, nodeMode);
    return known && seen && { known, seen };
  };
}

/** Labels first: what coverage asks for may depend on them. */
function both(known: Sink<KnownNamespace>, seen: Sink<SeenNamespace> | undefined): Sink<Projected> {
  return {
    replace(items) {
      known.replace(items.map((item) => item.known));
      seen?.replace(items.map((item) => item.seen));
    },
    put(item) {
      known.put(item.known);
      seen?.put(item.seen);
    },
    remove(item) {
      known.remove(item.known);
      seen?.remove(item.seen);
    },
  };
}

// Labels of namespaces, and their annotations that meshes read, from the watch. Stays empty without a cluster.

export interface KnownNamespace {
  name: string;
  metadata: NamespaceMetadata;
}

export interface NamespaceStore extends Sink<KnownNamespace> {
  /** undefined where the namespace is not known; nothing is assumed of such a one. */
  namespaceOf(name: string): NamespaceMetadata | undefined;
}

/** An annotation may have 256 KB. One of a mesh that is longer than this is not kept, and then none is known. */
const ANNOTATION_LENGTH = 1024;
/** One object for all namespaces without a mesh's annotations. */
const NO_ANNOTATIONS: Record<string, string> = {};

/** What is kept of a Namespace; undefined where it is none. */
export function knownNamespace({ metadata }: JsonObject): KnownNamespace | undefined {
  if (!isObject(metadata)) return undefined;
  const labels = metadata['labels'] ?? {};
  const name = shortText(metadata['name']);
  if (name === '' || !isTextMap(labels)) return undefined;
  return { name, metadata: { labels, annotations: annotationsOfMeshes(metadata['annotations'] ?? {}) } };
}

function annotationsOfMeshes(annotations: unknown): NamespaceMetadata['annotations'] {
  if (!isTextMap(annotations)) return undefined;
  const kept = NAMESPACE_ANNOTATIONS.flatMap((name) => {
    const value = annotations[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  if (kept.some(([, value]) => value.length > ANNOTATION_LENGTH)) return undefined;
  return kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept);
}

/** Makes an empty store. */
export function createNamespaceStore(): NamespaceStore {
  let known = new Map<string, NamespaceMetadata>();
  return {
    namespaceOf: (name) => known.get(name),
    replace: (items) => {
      known = new Map(items.map(({ name, metadata }) => [name, metadata]));
    },
    put: ({ name, metadata }) => void known.set(name, metadata),
    remove: ({ name }) => void known.delete(name),
  };
}
