// Puts coverage together: watches on namespaces, pods and Events feed the stores; changes go to log, metrics and Events.

import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { type Reflection, reflect, type Sink } from '../../lib/cluster/reflector.ts';
import { type NodeMode, OPT_IN_LABEL } from '../../lib/contract.ts';
import { isObject, isObjectList, isTextMap, type JsonObject, objectAt, secondsOf, shortText } from '../../lib/json.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { placementOf } from '../../lib/pod/placement.ts';
import { forbidsNetAdmin, isProtectedNamespace } from '../../lib/pod/reasons.ts';
import { type CoverageReason, isGuarded } from './coverage-reasons.ts';
import { type Change, type CoverageStore, createCoverageStore } from './coverage-store.ts';
import { createEventSender, type EventResult } from './owner-events.ts';
import type { CoveredNamespace } from './pod-reason.ts';
import { createProjection, type SeenPod } from './pod-record.ts';
import { createRefusedCreations, REFUSAL_EVENTS, type RefusedCreation, refusalEvent } from './refused-creations.ts';

export interface CoverageOptions {
  client: ClusterClient;
  /** Image that is configured now. */
  image: string;
  /** Whether to write Events. */
  events: boolean;
  countEvent(result: EventResult): void;
  log: StructuredLog;
  retryDelay(failures: number): number;
}

export interface Coverage {
  store: CoverageStore;
  /** Pods that could not be created. */
  refused(): RefusedCreation[];
  /** True once the pods have been listed. */
  synced(): boolean;
  /** To be fed by the watch on namespaces. */
  namespaces: Sink<SeenNamespace>;
  stop(): Promise<void>;
}

const TICK_MS = 1000;

/** @returns at once; pods are listed once the namespaces are known */
export function startCoverage({ client, image, events, countEvent, log, retryDelay }: CoverageOptions): Coverage {
  const changes = createChangeLog();
  const sender = createEventSender({
    client,
    count: countEvent,
    covers: (namespace) => store.covers(namespace),
    log,
    now: Date.now,
  });
  const store = createCoverageStore(
    (change) => {
      changes.note(change);
      if (events) sender.note(change);
    },
    () => Math.floor(Date.now() / 1000),
  );
  const refused = createRefusedCreations((namespace) => store.covers(namespace));
  const refusals = reflect({
    client,
    path: '/api/v1/events',
    query: REFUSAL_EVENTS,
    what: 'refused creations',
    project: refusalEvent,
    sink: refused,
    log,
    retryDelay,
  });
  const project = createProjection(image);
  let pods: Reflection | undefined;
  const reflectPods = () => {
    pods ??= reflect<SeenPod>({
      client,
      path: '/api/v1/pods',
      what: 'pods',
      // Pods of other namespaces are discarded at once, to keep memory small.
      project: (object) => (isCovered(object, store) ? project(object) : undefined),
      sink: store,
      log,
      retryDelay,
    });
  };
  // The watch has passed over the pods of a namespace that is opted in now: relist, once for several namespaces.
  let optedIn = false;
  let sending = Promise.resolve();
  const timer = setInterval(() => {
    if (optedIn) pods?.relist();
    optedIn = false;
    store.tick();
    const { lines, more } = changes.take();
    for (const line of lines) log.info(line, 'coverage changed');
    if (more > 0) log.info({ more }, 'more coverage changes, not logged');
    if (sender.waiting() > 0) sending = sending.then(() => sender.tick());
  }, TICK_MS);

  return {
    store,
    refused: refused.list,
    synced: () => pods?.synced() ?? false,
    namespaces: namespaceSink(
      store,
      () => {
        optedIn = true;
      },
      reflectPods,
    ),
    async stop() {
      clearInterval(timer);
      await Promise.all([refusals.stop(), pods?.stop()]);
    },
  };
}

function isCovered({ metadata }: JsonObject, store: CoverageStore): boolean {
  return isObject(metadata) && typeof metadata['namespace'] === 'string' && store.covers(metadata['namespace']);
}

/** @param listed called after the first list, when every opted-in namespace is known */
function namespaceSink(store: CoverageStore, optedIn: () => void, listed: () => void): Sink<SeenNamespace> {
  let first = true;
  const put = ({ name, covered }: SeenNamespace) => {
    if (covered === undefined) store.uncover(name);
    else if (store.cover(name, covered) && !first) optedIn();
  };
  return {
    put,
    remove: ({ name }) => store.uncover(name),
    replace(items) {
      const there = new Set(items.map(({ name }) => name));
      for (const name of store.names()) if (!there.has(name)) store.uncover(name);
      for (const item of items) put(item);
      first = false;
      listed();
    },
  };
}

// Which namespaces are opted in, and since when. Pure.

export interface SeenNamespace {
  name: string;
  /** undefined: it is not opted in, or is being deleted. */
  covered: CoveredNamespace | undefined;
}

/** What coverage keeps of a Namespace; undefined where it is none. */
export function seenNamespace(object: JsonObject, nodeMode: NodeMode): SeenNamespace | undefined {
  const { metadata } = object;
  if (!isObject(metadata)) return undefined;
  const name = shortText(metadata['name']);
  const labels = isTextMap(metadata['labels']) ? metadata['labels'] : {};
  const placement = isProtectedNamespace(name) ? undefined : placementOf(labels, nodeMode);
  if (placement === undefined || metadata['deletionTimestamp'] !== undefined) return { name, covered: undefined };
  return { name, covered: { optedInAt: labelTime(metadata), forbidsNetAdmin: forbidsNetAdmin(labels), placement } };
}

/**
 * When the label was set, as far as the API server remembers: the time of the field manager that owns it. If the same
 * manager has changed another field since, the time is later than the label. Pods created in between then count as
 * older than the opt-in, and not as missed by the webhook.
 */
function labelTime({ managedFields }: JsonObject): number | undefined {
  if (!isObjectList(managedFields)) return undefined;
  const times = managedFields.filter(({ fieldsV1 }) => ownsLabel(fieldsV1)).map(({ time }) => secondsOf(time));
  const first = Math.min(...times.filter((time) => time > 0));
  return Number.isFinite(first) ? first : undefined;
}

function ownsLabel(fields: unknown): boolean {
  return Object.hasOwn(objectAt(fields, 'f:metadata', 'f:labels'), `f:${OPT_IN_LABEL}`);
}

// Changes of coverage as log lines: one for each namespace and kind of change, not one for each pod.

const LINES = 50;

export interface ChangeLine {
  namespace: string;
  from: CoverageReason | 'new';
  to: CoverageReason | 'gone';
  pods: number;
  /** One of them. */
  example: string;
}

/** Collects changes until they are taken. Pods that start guarded, or end, are left out. */
export function createChangeLog() {
  let lines = new Map<string, ChangeLine>();
  return {
    note({ namespace, pod, from, to }: Change): void {
      if (!isNews(from) && !isNews(to)) return;
      const [before, after] = [from ?? 'new', to ?? 'gone'] as const;
      const key = `${namespace} ${before} ${after}`;
      const line = lines.get(key) ?? { namespace, from: before, to: after, pods: 0, example: pod };
      line.pods += 1;
      lines.set(key, line);
    },
    /** The lines since the last call, and how many more there would have been. */
    take(): { lines: ChangeLine[]; more: number } {
      const all = [...lines.values()];
      lines = new Map();
      return { lines: all.slice(0, LINES), more: Math.max(0, all.length - LINES) };
    },
  };
}

function isNews(reason: CoverageReason | undefined): boolean {
  return reason !== undefined && !isGuarded(reason) && reason !== 'starting';
}
