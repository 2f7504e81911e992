// Keeps a projection of a collection of the API server up to date: list, then watch, for ever.

import { setTimeout as wait } from 'node:timers/promises';
import { errors } from '../errors.ts';
import { isObject, type JsonObject, objectAt, shortText } from '../json.ts';
import type { StructuredLog } from '../log.ts';
import { ApiError, reasonOf } from './api-error.ts';
import type { ClusterClient, Query } from './cluster-client.ts';

/** Where projected objects go. What was known stays known while the API server cannot be asked. */
export interface Sink<T> {
  /** Replaces all items, after a list. */
  replace(items: T[]): void;
  put(item: T): void;
  remove(item: T): void;
}

export interface ReflectOptions<T> {
  client: Pick<ClusterClient, 'get' | 'watch'>;
  /** Of the collection, such as /api/v1/pods. */
  path: string;
  /** Selectors. */
  query?: Query;
  /** For logs: what the collection holds. */
  what: string;
  /** The part of an object that is kept; undefined for objects that are not kept. */
  project(object: JsonObject): T | undefined;
  sink: Sink<T>;
  log: StructuredLog;
  /** Milliseconds to wait after that many failures in a row. */
  retryDelay(failures: number): number;
}

export interface Reflection {
  /** True once the collection has been listed. */
  synced(): boolean;
  /** Lists again: which objects `project` keeps has changed. */
  relist(): void;
  stop(): Promise<void>;
}

/** Objects of a page: few enough to keep the heap small, and many enough for a large cluster in a hundred requests. */
const PAGE = '100';
/** The server ends a watch after this; a connection that died silently is noticed a little later. */
const WATCH_SECONDS = 240;
/** Pause between watches. */
const RELIST_MS = 100;
/** A watch that is open for as long is a success, though it tells of nothing. */
const LASTING_MS = 10_000;
const SILENCE_MS = (WATCH_SECONDS + 30) * 1000;

/** @returns at once, before the first list has come */
export function reflect<T>(options: ReflectOptions<T>): Reflection {
  const { what, log, retryDelay } = options;
  const stopping = new AbortController();
  const state: State = { synced: false, version: '', failures: 0, fruitless: 0 };
  let listing = new AbortController();
  const stopped = () => stopping.signal.aborted;

  async function run(): Promise<void> {
    while (!stopped()) {
      try {
        if (state.version === '' || listing.signal.aborted) {
          listing = new AbortController();
          // A list that fails is asked for again.
          state.version = '';
          // After a list of one page the next young collection is enough.
          if ((await list(options, state)) > 1) collectGarbage();
        }
        await watch(options, state, AbortSignal.any([stopping.signal, listing.signal]));
        await pause(delayAfterWatch());
      } catch (error) {
        if (stopped()) return;
        if (!listing.signal.aborted) await pause(delayAfter(error));
      }
    }
  }

  /** Once is usual. A server that ends each watch at once, or each time forgets the version, is asked ever more seldom. */
  function delayAfterWatch(): number {
    if (state.fruitless <= 1) return RELIST_MS;
    const retryMs = retryDelay(state.fruitless - 1);
    log.warn({ watches: state.fruitless, retryMs }, `watches on ${what} end at once`);
    return retryMs;
  }

  function delayAfter(error: unknown): number {
    if (isGone(error)) {
      state.version = '';
      return delayAfterWatch();
    }
    state.failures += 1;
    const retryMs = retryDelay(state.failures);
    log.warn({ reason: reasonOf(error), failures: state.failures, retryMs }, `the watch on ${what} ended`);
    return retryMs;
  }

  const pause = (ms: number) => wait(ms, undefined, { signal: stopping.signal }).catch(() => {});

  const running = run();
  const stop = async () => {
    stopping.abort();
    await running;
  };
  return { synced: () => state.synced, relist: () => listing.abort(), stop };
}

interface State {
  synced: boolean;
  /** resourceVersion to watch from; '' where a list is needed. */
  version: string;
  failures: number;
  /** Watches in a row that were opened, told nothing and ended soon. */
  fruitless: number;
}

/** Kubernetes is made for 5,000 nodes of 110 pods: no collection has more pages. */
const MAX_PAGES = 10_000;

/**
 * The pages of a collection, one after the other.
 * @returns objects of each page, the collection's resourceVersion, and whether another page follows
 * @throws CodedError CLUSTER_LIST_ENDLESS, CLUSTER_NO_LIST, or what the client rejects with
 */
export async function* listPages(client: Pick<ClusterClient, 'get'>, path: string, query: Query = {}) {
  let next = '';
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const page = await client.get(path, { ...query, limit: PAGE, ...(next && { continue: next }) });
    const metadata = objectAt(page, 'metadata');
    // Go prints a list that was never made as null.
    const items = page['items'] === null && /List$/.test(shortText(page['kind'])) ? [] : page['items'];
    // Taken for an empty list, such an answer would make an agent withdraw from every pod.
    if (!Array.isArray(items)) throw errors.CLUSTER_NO_LIST(path);
    next = shortText(metadata['continue'], 10_000);
    yield { objects: items.filter(isObject), version: shortText(metadata['resourceVersion']), more: next !== '' };
    if (next === '') return;
  }
  throw errors.CLUSTER_LIST_ENDLESS(path, MAX_PAGES);
}

/** @returns how many pages there were */
async function list<T>({ client, path, query, what, project, sink, log }: ReflectOptions<T>, state: State) {
  const items: T[] = [];
  let version = '';
  let pages = 0;
  for await (const page of listPages(client, path, query)) {
    pages += 1;
    items.push(...page.objects.flatMap((object) => project(object) ?? []));
    version = page.version;
  }
  state.version = version;
  // Before the sink is told: what the sink wakes asks whether everything has been listed.
  state.synced = true;
  sink.replace(items);
  log.info({ [what]: items.length }, `listed the ${what}`);
  return pages;
}

async function watch<T>({ client, path, query, project, sink }: ReflectOptions<T>, state: State, stop: AbortSignal) {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(SILENCE_MS)]);
  const from = { ...query, resourceVersion: state.version, allowWatchBookmarks: 'true' };
  let openedAt = 0;
  const opened = () => {
    state.failures = 0;
    state.fruitless += 1;
    openedAt = performance.now();
  };
  const events = client.watch(path, { ...from, timeoutSeconds: String(WATCH_SECONDS) }, signal, opened);
  for await (const { type, object } of events) {
    if (type === 'ERROR') throw new ApiError(Number(object['code']), shortText(object['reason'], 60), 'watch error');
    const { metadata } = object;
    state.fruitless = 0;
    if (isObject(metadata)) state.version = shortText(metadata['resourceVersion']);
    if (type === 'BOOKMARK') continue;
    const item = project(object);
    if (item === undefined) continue;
    if (type === 'DELETED') sink.remove(item);
    else sink.put(item);
  }
  if (performance.now() - openedAt >= LASTING_MS) state.fruitless = 0;
}

/** The version is too old to watch from, or a page's continuation has expired (HTTP 410): relist. */
function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}

// How long to wait before trying again.

/**
 * Delay before a further attempt: doubles with each failure, and spreads replicas that failed at the same instant.
 * @param failures in a row, 1 or more
 * @param random from 0 to 1
 * @param most milliseconds
 * @returns milliseconds, half to all of min(1 s * 2^(failures - 1), most)
 */
export function backoffMs(failures: number, random: number, most = 30_000): number {
  const ceiling = Math.min(1000 * 2 ** (failures - 1), most);
  return ceiling * (0.5 + random / 2);
}

// Frees the memory of a long list: V8 would keep it until the heap grows again, which may be never.

/**
 * Collects and compacts the heap at once, for some tens of milliseconds. Does nothing unless Node was started with
 * --expose-gc, as the image does. "last-resort" is V8's name for a collection that lets go of all that it can
 * (Heap::CollectAllAvailableGarbage): a plain one leaves the pages that are half empty.
 */
function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
