// The watch on a collection with the real client library against a small API server on loopback. A real API server is in test/e2e.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ClusterClient, connectCluster } from '../../../lib/cluster/cluster-client.ts';
import { listPages, reflect } from '../../../lib/cluster/reflector.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { createNamespaceStore, knownNamespace } from '../../../webhook/watches.ts';
import { until } from '../../harness/wait-until.ts';
import { kubeconfigFor, namespaceObject, startFakeApiServer } from '../../webhook/fake-api-server.ts';

const LEVEL = 'pod-security.kubernetes.io/enforce';
const RESTRICTED = { [LEVEL]: 'restricted' };

async function watching(t: Test, { user = {}, listFailures = [] as number[] } = {}) {
  const api = await startFakeApiServer([{ name: 'storage', labels: RESTRICTED }, { name: 'bare' }]);
  api.failures.list.push(...listFailures);
  const path = join(t.testdir({}), 'kubeconfig');
  writeFileSync(path, kubeconfigFor(api, user));
  const store = createNamespaceStore();
  const logged: object[] = [];
  const delays: number[] = [];
  const write = (details: object, message: string) => void logged.push({ ...details, message });
  const watch = reflect({
    client: connectCluster(path),
    path: '/api/v1/namespaces',
    what: 'namespaces',
    project: knownNamespace,
    sink: store,
    log: { info: write, warn: write },
    retryDelay: (failures) => {
      delays.push(failures);
      return 1;
    },
  });
  t.teardown(async () => {
    await watch.stop();
    await api.close();
  });
  return { api, store, watch, logged, delays };
}

t.test('labels come from the list; a namespace that is not there is unknown', async (t) => {
  const { api, store, watch } = await watching(t);
  t.equal(watch.synced(), false);
  t.equal(store.namespaceOf('storage')?.labels, undefined);
  await until('a watch is open', () => api.watches.size === 1);
  t.equal(watch.synced(), true);
  t.strictSame(store.namespaceOf('storage')?.labels, RESTRICTED);
  t.strictSame(store.namespaceOf('bare')?.labels, {});
  t.equal(store.namespaceOf('nobody')?.labels, undefined);
});

t.test('what a list of many pages leaves is collected once it is known; one page leaves little', async (t) => {
  for (const [pages, wanted] of [
    [1, []],
    [3, ['last-resort, 3 known']],
  ] as const) {
    const collected: string[] = [];
    const known: unknown[] = [];
    t.intercept(globalThis, 'gc', {
      value: (how: NodeJS.GCOptions) => collected.push(`${how.flavor}, ${known.length} known`),
    });
    const watched = Promise.withResolvers<void>();
    const reflection = reflect({
      client: {
        get: async (_path: string, query: Record<string, string>) => {
          const page = Number(query['continue'] ?? '1');
          return { metadata: page < pages ? { continue: String(page + 1) } : {}, items: [{}] };
        },
        // biome-ignore lint/correctness/useYield: a watch that says nothing
        watch: async function* (_path: string, _query: object, signal: AbortSignal) {
          watched.resolve();
          await once(signal, 'abort');
        },
      } as unknown as ClusterClient,
      path: '/api/v1/pods',
      what: 'pods',
      project: (object) => object,
      sink: { replace: (items) => void known.push(...items), put: () => {}, remove: () => {} },
      log: { info: () => {}, warn: () => {} },
      retryDelay: () => 1,
    });
    await watched.promise;
    t.strictSame(collected, wanted, `${pages} pages`);
    await reflection.stop();
  }
});

t.test('a list has up to ten thousand pages; one that does not end is an error', async (t) => {
  const pagesOf = async (last: number) => {
    let asked = 0;
    const get = async () => {
      asked += 1;
      return { metadata: asked < last ? { continue: 'more' } : {}, items: [{}] };
    };
    let pages = 0;
    for await (const { objects } of listPages({ get }, '/api/v1/pods')) pages += objects.length;
    return pages;
  };
  t.equal(await pagesOf(10_000), 10_000);
  await t.rejects(pagesOf(10_001), { code: 'CLUSTER_LIST_ENDLESS', message: '/api/v1/pods does not end after 10000' });
});

t.test('an answer that is no list is an error, and no empty list', async (t) => {
  const first = (page: object) => listPages({ get: async () => page as JsonObject }, '/api/v1/pods').next();
  for (const page of [{}, { items: {} }, { metadata: { resourceVersion: '1' } }, { kind: 'Status', items: null }])
    await t.rejects(first(page), { code: 'CLUSTER_NO_LIST' });
  for (const page of [{ items: [] }, { kind: 'PodList', items: null }])
    t.match((await first(page)).value, { objects: [] });
});

t.test('events of the watch change what is known', async (t) => {
  const { api, store } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  api.send('ADDED', namespaceObject({ name: 'new', labels: { a: 'b' } }));
  await until('the new one is known', () => store.namespaceOf('new')?.labels['a'] === 'b');
  api.send('MODIFIED', namespaceObject({ name: 'storage', labels: { [LEVEL]: 'privileged' } }));
  await until('the label has changed', () => store.namespaceOf('storage')?.labels[LEVEL] === 'privileged');
  api.send('DELETED', namespaceObject({ name: 'bare' }));
  await until('the deleted one is unknown', () => store.namespaceOf('bare') === undefined);
});

t.test('a watch that ends is opened again where it was, and what was known stays known', async (t) => {
  const { api, store } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  api.endWatches();
  await until('a second watch is open', () => api.requests.length === 3 && api.watches.size === 1);
  t.strictSame(store.namespaceOf('storage')?.labels, RESTRICTED);
  t.equal(api.requests[2], api.requests[1], 'from the same version, with no list in between');
  api.send('ADDED', namespaceObject({ name: 'new' }));
  await until('events arrive', () => store.namespaceOf('new') !== undefined);
});

t.test('a list that fails is tried again with growing delays, and each failure is logged', async (t) => {
  const { api, watch, logged, delays } = await watching(t, { listFailures: [403, 500, 503] });
  await until('a watch is open', () => api.watches.size === 1);
  t.equal(watch.synced(), true);
  t.strictSame(delays, [1, 2, 3]);
  t.match(logged[0], { message: 'the watch on namespaces ended', failures: 1, retryMs: 1 });
  t.ok(
    logged.every((line) => JSON.stringify(line).length < 400),
    'no line holds a whole response',
  );
});

t.test('a watch that is refused is tried again, with delays that begin anew after each success', async (t) => {
  const { api, store, delays } = await watching(t, { listFailures: [500, 500] });
  await until('a watch is open', () => api.watches.size === 1);
  api.failures.watch.push(500, 500);
  api.endWatches();
  await until('a watch is open again', () => api.requests.length === 7 && api.watches.size === 1);
  t.strictSame(delays, [1, 2, 1, 2]);
  t.strictSame(store.namespaceOf('storage')?.labels, RESTRICTED);
});

t.test('a version that is too old leads to a new list, and what is gone is unknown', async (t) => {
  const { api, store } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  api.namespaces = [{ name: 'bare', labels: { now: 'labelled' } }];
  api.send('ERROR', { kind: 'Status', code: 410, metadata: {} });
  api.endWatches();
  await until('the new list is known', () => store.namespaceOf('bare')?.labels['now'] === 'labelled');
  t.equal(store.namespaceOf('storage')?.labels, undefined);
});

t.test('a server that ends each watch at once is asked ever more seldom, until it tells something', async (t) => {
  const { api, delays, logged } = await watching(t);
  for (let ended = 1; ended <= 4; ended++) {
    await until('a watch is open', () => api.requests.length === 1 + ended && api.watches.size === 1);
    api.endWatches();
  }
  await until('a watch is open', () => api.requests.length === 6 && api.watches.size === 1);
  t.strictSame(delays, [1, 2, 3], 'the first end is usual');
  t.match(logged.at(-1), { message: 'watches on namespaces end at once', watches: 4, retryMs: 1 });
  api.send('ADDED', namespaceObject({ name: 'new' }));
  api.endWatches();
  await until('a watch is open', () => api.requests.length === 7 && api.watches.size === 1);
  api.endWatches();
  await until('a watch is open', () => api.requests.length === 8 && api.watches.size === 1);
  t.strictSame(delays, [1, 2, 3]);
});

t.test('a version that is forgotten each time is asked for ever more seldom', async (t) => {
  const { api, delays } = await watching(t);
  for (let gone = 1; gone <= 4; gone++) {
    await until('a list and a watch', () => api.requests.length === 2 * gone && api.watches.size === 1);
    api.send('ERROR', { kind: 'Status', code: 410, metadata: {} });
    api.endWatches();
  }
  await until('a list and a watch', () => api.requests.length === 10 && api.watches.size === 1);
  t.strictSame(delays, [1, 2, 3]);
});

t.test('credentials that vanish do not end the process', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'invalid-drop-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'credential');
  // Expired already: the client runs the program again for each request.
  const status = { token: 'a', expirationTimestamp: '2020-01-01T00:00:00Z' };
  const apiVersion = 'client.authentication.k8s.io/v1';
  await writeFile(file, JSON.stringify({ apiVersion, kind: 'ExecCredential', status }));
  const exec = { apiVersion, command: 'cat', args: [file], interactiveMode: 'Never' };
  const { api, logged, store } = await watching(t, { user: { exec } });
  await until('a watch is open', () => api.watches.size === 1);
  await rm(file);
  api.endWatches();
  await until('the failure is logged', () => logged.some((line) => 'failures' in line));
  t.strictSame(store.namespaceOf('storage')?.labels, RESTRICTED);
});

t.test('a list that is asked for anew is asked for again where it fails', async (t) => {
  const { api, watch, store } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  api.namespaces = [{ name: 'only' }];
  api.failures.list.push(500);
  watch.relist();
  await until('the new list is known', () => store.namespaceOf('only') !== undefined);
  t.equal(store.namespaceOf('storage')?.labels, undefined);
});

t.test('after stop nothing is asked any more', async (t) => {
  const { api, watch } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  const asked = api.requests.length;
  await watch.stop();
  await until('the watch is closed', () => api.watches.size === 0);
  t.equal(api.requests.length, asked);
});

t.test('a watch that is being opened at the stop is closed too', async (t) => {
  const { api, watch } = await watching(t);
  await until('a watch is open', () => api.watches.size === 1);
  api.beforeWatch = () => void watch.stop();
  api.endWatches();
  await until('it was asked for and is closed', () => api.requests.length === 3 && api.watches.size === 0);
});

t.test('a kubeconfig that cannot be used is refused with its path', async (t) => {
  const directory = t.testdir({ empty: '{}' });
  for (const name of ['missing', 'empty']) {
    const kubeconfig = join(directory, name);
    t.throws(() => connectCluster(kubeconfig), { code: 'CLUSTER_CONFIGURATION', message: kubeconfig });
  }
});
