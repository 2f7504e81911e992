import t from 'tap';
import type { PageRequest } from '../../../lib/page-server.ts';
import type { SelfcheckReport } from '../../../webhook/selfcheck/selfcheck-report.ts';
import { type StatusPageOptions, statusPage } from '../../../webhook/status-page/status-page.ts';
import { addPods, CERTIFICATES, emptyStore, madeCollection, refusedOf, selfcheckOf, TIME } from './made-status.ts';

function made(options: Partial<StatusPageOptions> = {}, store = emptyStore()) {
  const clock = { now: 0 };
  const source = { store, synced: true, refused: () => [refusedOf('Job/nightly', 'exceeded quota')] };
  const page = statusPage({
    version: '1.0.0',
    coverage: () => source,
    selfcheck: async () => selfcheckOf(),
    certificates: () => CERTIFICATES,
    time: () => TIME,
    now: () => clock.now,
    ...options,
  });
  const ask = (query = '', request: Partial<PageRequest> = {}) =>
    page({ query: new URLSearchParams(query), accept: '', local: true, ...request });
  return { clock, store, ask };
}

t.test('names of pods and workloads are only for who asks from the pod itself', async (t) => {
  const { store, ask } = made();
  addPods(store, 'storage', { guarded: 2, 'webhook-missed': 1 }, 'secret-name');
  for (const query of ['', 'namespace=storage', 'reason=webhook-missed', 'namespace=storage&reason=webhook-missed']) {
    const { body } = await ask(query, { local: false });
    t.notMatch(body, /secret-name|nightly|exceeded/, query);
    t.notMatch(body, 'reason=', 'no link leads to names');
    t.match(body, 'kubectl port-forward', query);
  }
  t.match((await ask('namespace=storage')).body, /secret-name-0[\s\S]*secret-name-1/);
  t.match((await ask()).body, /Job\/nightly[\s\S]*exceeded quota/);
});

t.test('pods are listed by namespace and by reason, those that need attention first', async (t) => {
  const { store, ask } = made();
  addPods(store, 'storage', { guarded: 1, 'webhook-missed': 1 }, 'store');
  addPods(store, 'media', { 'webhook-missed': 1 }, 'media');
  const rows = async (query: string) =>
    [...(await ask(query)).body.matchAll(/<th scope="row" class="name">((?:store|media)-\d)</g)].map(
      ([, name]) => name,
    );
  t.strictSame(await rows('namespace=storage'), ['store-1', 'store-0']);
  t.strictSame(await rows('namespace=storage&reason=guarded'), ['store-0']);
  t.strictSame(await rows('reason=webhook-missed'), ['media-0', 'store-1']);
});

t.test('long lists have pages, and one beyond the last is the last', async (t) => {
  const { store, ask } = made();
  addPods(store, 'storage', { guarded: 450 });
  const rows = async (query: string) => (await ask(query)).body.split('<th scope="row" class="name">store-').length - 1;
  t.strictSame(
    await Promise.all(['', '&page=2', '&page=3', '&page=99'].map((page) => rows(`namespace=storage${page}`))),
    [200, 200, 50, 50],
  );
  t.match((await ask('namespace=storage&page=2')).body, /namespace=storage">Previous[\s\S]*page=3">Next/);
  for (let i = 0; i < 150; i++) addPods(store, `n-${i}`, { guarded: 1 });
  t.match((await made({}, store).ask('page=2')).body, 'Page 2 of 2, 151 namespaces in all.');
});

t.test('an address that names nothing is not repeated on the page', async (t) => {
  const { ask } = made();
  for (const query of [
    'namespace=%3Cscript%3E',
    'reason=%3Cscript%3E',
    'page=%3Cscript%3E',
    'page=0',
    'page=1e3',
    'page=-1',
  ]) {
    const { status, body } = await ask(query);
    t.equal(status, 404, query);
    t.notMatch(body, /script/, query);
  }
});

t.test('a page is made once in two seconds at most', async (t) => {
  const { store, clock, ask } = made();
  let reports = 0;
  const { counts } = store;
  store.counts = (only) => {
    reports += 1;
    return counts(only);
  };
  await Promise.all(Array.from({ length: 50 }, () => ask()));
  clock.now = 1999;
  await ask();
  t.equal(reports, 1);
  clock.now = 2000;
  await ask();
  t.equal(reports, 2);
});

t.test('no page waits for a self-check that takes its time', async (t) => {
  const { promise, resolve } = Promise.withResolvers<SelfcheckReport>();
  const { ask } = made({ selfcheck: () => promise });
  t.match((await ask()).body, '<p>It has not ended yet');
  resolve(selfcheckOf());
  t.match((await ask()).body, 'a pod sent through the Service got its container', 'and such a page is not kept');
});

t.test('a self-check that breaks leaves the rest of the page', async (t) => {
  const { ask } = made({ selfcheck: () => Promise.reject(new Error('secret')) });
  const { status, body } = await ask();
  t.equal(status, 200);
  t.match(body, '<p>It has not ended yet');
  t.notMatch(body, 'secret');
});

t.test(
  'drops, rescues and drift are told with what is missing, and peers only to who asks from the pod itself',
  async (t) => {
    const { ask } = made({ collection: madeCollection() });
    const { body } = await ask();
    t.match(body, 'Checkers: 397 asked, 1 did not answer; that round ended 12 s ago and took 40 s.');
    t.match(body, 'Node agents: 2 asked, all answered;');
    t.match(body, 'This replica has counted since <time datetime="2030-01-14T22:00:00.000Z">');
    t.match(body, /<th scope="row" class="name"><a[^>]*>storage<\/a><\/th>/);
    t.match(body, /10\.1\.4\.7[\s\S]*storage\/object-store-6d4cf56db6-0/);
    const others = (await ask('', { local: false })).body;
    t.match(others, '2 within the last day; which, is only');
    t.notMatch(others, /10\.1\.4\.7|object-store/);
  },
);

t.test('a chart tells its sum and its highest value, and no value that is not 0 is too low to see', async (t) => {
  const collection = madeCollection();
  const { body } = await made({ collection }).ask();
  const sum = collection.history
    .namespaces(TIME)
    .flatMap(({ values }) => values.drift)
    .reduce((total, value) => total + value, 0);
  t.match(body, new RegExp(`aria-label="Drift by ten minutes: ${sum} in all, the most at 09:50 UTC: 1"`));
  const heights = [...body.matchAll(/height="([\d.]+)"\/>/g)].map(([, height]) => Number(height));
  t.ok(heights.length > 20 && heights.every((height) => height >= 1.5));
});

t.test('before the first round has ended the page says so', async (t) => {
  const current = { began: TIME, ended: 0, asked: 20, answered: 3, silent: 1 };
  const checkers = { last: () => undefined, current: () => current };
  const { body } = await made({ collection: { ...madeCollection(), checkers, agents: undefined } }).ask();
  t.match(body, 'Checkers: the first round has not ended yet. 4 of 20 have been asked in the round under way.');
  t.notMatch(body, 'Node agents:', 'there are none');
  t.match((await made().ask()).body, 'Nothing is collected');
});

t.test('coverage may be off, and certificates may be missing', async (t) => {
  const certificates = { source: 'memory', serving: undefined, cas: [], trusted: undefined } as const;
  const { ask } = made({ coverage: () => undefined, certificates: () => ({ ...certificates, cas: [] }) });
  const { body } = await ask();
  t.match(body, 'Coverage is off: it needs a cluster');
  t.match(body, 'There is none yet.');
  t.equal((await ask('namespace=storage')).status, 404);
});

t.test('certificates that are about to matter are told apart', async (t) => {
  const serving = { ...(CERTIFICATES.serving as NonNullable<typeof CERTIFICATES.serving>), until: TIME };
  const later = { ...serving, from: TIME + 1, until: TIME + 2 };
  const { ask } = made({ certificates: () => ({ ...CERTIFICATES, serving, cas: [later, later], trusted: false }) });
  const { body } = await ask();
  t.match(body, /Not trusted[\s\S]*Expired[\s\S]*CA 1 of 2[\s\S]*Not valid yet/);
});

t.test('the policy allows the style sheet of the page and nothing else', async (t) => {
  const { headers = {} } = await made().ask();
  t.match(
    headers['content-security-policy'],
    /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
  );
  t.match(headers, { 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
});
