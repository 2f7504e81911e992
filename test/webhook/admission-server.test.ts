import { readFileSync } from 'node:fs';
import { type KubernetesObject, loadYaml, type V1Deployment } from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { creationOf, SETTINGS } from './admission/injection-settings.ts';
import { reviewOf, testServer } from './test-server.ts';

const POD = { metadata: { generateName: 'store-' }, spec: { containers: [{ name: 'app' }] } };
const EXAMPLE = new URL('../../manifests/examples/object-store.yaml', import.meta.url);

async function post(t: Test, payload: unknown, options = {}, headers: Record<string, string> = {}) {
  const made = testServer(options);
  t.teardown(() => made.server.close());
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const response = await made.server.inject({
    method: 'POST',
    url: '/mutate',
    payload: body,
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { ...made, response, answer: response.json() };
}

const countsOf = async ({ metrics }: ReturnType<typeof testServer>) =>
  (await metrics.admissions.get()).values.map(({ labels, value }) => [labels.result, labels.reason, value]);

t.test('the pod of the example Deployment is patched', async (t) => {
  const deployment = loadYaml<V1Deployment & KubernetesObject>(readFileSync(EXAMPLE, 'utf8'));
  const { template } = deployment.spec ?? {};
  const object = { apiVersion: 'v1', kind: 'Pod', ...template };
  const { response, answer, lines, ...made } = await post(t, reviewOf(creationOf(object)));
  t.equal(response.statusCode, 200);
  t.match(answer.response, { allowed: true, uid: creationOf(POD).uid, patchType: 'JSONPatch' });
  t.strictSame(await countsOf({ lines, ...made }), [['injected', '', 1]]);
});

t.test('a pod that gets its containers writes no log line of level info', async (t) => {
  const { lines } = await post(t, reviewOf(creationOf(POD)));
  t.strictSame(lines, []);
});

t.test('at debug each admission is one log line: names, outcome, duration, and nothing of the object', async (t) => {
  const pod = { ...POD, spec: { containers: [{ name: 'app', env: [{ name: 'TOKEN', value: 'hunter2' }] }] } };
  const { lines } = await post(t, reviewOf(creationOf(pod)), { logLevel: 'debug' });
  t.equal(lines.length, 1);
  t.match(lines[0], {
    msg: 'admission',
    uid: creationOf(POD).uid,
    namespace: 'storage',
    pod: 'store-',
    result: 'injected',
    reason: '',
    durationMs: Number,
  });
  t.notMatch(JSON.stringify(lines), /hunter2|TOKEN/);
});

t.test('pods that are left to agents are counted by what was done, and write no line of level info', async (t) => {
  const settings = { ...SETTINGS, nodeMode: 'available' as const };
  const namespaceOf = () => ({ labels: { 'invalid-drop.io/inject': 'node' }, annotations: {} });
  const gated = await post(t, reviewOf(creationOf(POD)), { settings, namespaceOf });
  t.strictSame([await countsOf(gated), gated.lines], [[['gated', '', 1]], []]);
  const observing = { ...POD, metadata: { annotations: { 'invalid-drop.io/mode': 'observe' } } };
  const observed = await post(t, reviewOf(creationOf(observing)), { settings, namespaceOf });
  t.strictSame([await countsOf(observed), observed.lines], [[['observed', '', 1]], []]);
});

t.test('a skip says its reason alike in warning, log and metric', async (t) => {
  const baseline = { 'pod-security.kubernetes.io/enforce': 'baseline' };
  const namespaceOf = (name: string) => ({ labels: name === 'storage' ? baseline : {}, annotations: {} });
  const { answer, lines, ...made } = await post(t, reviewOf(creationOf(POD)), { namespaceOf });
  t.match(answer.response.warnings[0], /pod-security/);
  t.match(lines[0], { result: 'skipped', reason: 'pod-security' });
  t.strictSame(await countsOf({ lines, ...made }), [['skipped', 'pod-security', 1]]);
});

t.test('a refusal is an answer, not an HTTP error, and its message is in the log', async (t) => {
  const pod = { ...POD, metadata: { annotations: { 'invalid-drop.io/mode': 'off' } } };
  const { response, answer, lines } = await post(t, reviewOf(creationOf(pod)));
  t.equal(response.statusCode, 200);
  t.match(answer.response, { allowed: false, status: { code: 400, message: /invalid-drop\.io\/mode="off"/ } });
  t.match(lines[0], { result: 'refused', reason: 'annotation-invalid', message: /"off"/ });
});

t.test('an exception while deciding lets the pod through, warned, logged and counted', async (t) => {
  const namespaceOf = () => {
    throw new Error('the store is on fire');
  };
  const { response, answer, lines, ...made } = await post(t, reviewOf(creationOf(POD)), { namespaceOf });
  t.equal(response.statusCode, 200);
  t.match(answer.response, { allowed: true, uid: creationOf(POD).uid, warnings: [/internal-error/] });
  t.ok(lines.some((line) => line['level'] === 50 && JSON.stringify(line).includes('the store is on fire')));
  t.strictSame(await countsOf({ lines, ...made }), [['error', 'internal-error', 1]]);
});

t.test('what is no AdmissionReview gets a code, a message and a 4xx status', async (t) => {
  const request = creationOf(POD);
  const table: [string, unknown, number, string, RegExp][] = [
    ['malformed JSON', '{"apiVersion":', 400, 'REVIEW_MALFORMED', /not JSON/],
    ['empty body', '', 400, 'REVIEW_MALFORMED', /empty/],
    ['no object', '[]', 400, 'REVIEW_INVALID', /object/],
    [
      'wrong version',
      { ...reviewOf(request), apiVersion: 'admission.k8s.io/v1beta1' },
      400,
      'REVIEW_WRONG_VERSION',
      /v1beta1/,
    ],
    ['wrong kind', { ...reviewOf(request), kind: 'Pod' }, 400, 'REVIEW_WRONG_VERSION', /"Pod"/],
    ['no request', { ...reviewOf(request), request: undefined }, 400, 'REVIEW_INVALID', /request/],
    ['no uid', reviewOf({ ...request, uid: undefined }), 400, 'REVIEW_INVALID', /uid/],
    ['empty uid', reviewOf({ ...request, uid: '' }), 400, 'REVIEW_INVALID', /uid/],
    ['uid is a number', reviewOf({ ...request, uid: 5 }), 400, 'REVIEW_INVALID', /uid/],
    ['too large', reviewOf({ ...request, padding: 'x'.repeat(5000) }), 413, 'REVIEW_TOO_LARGE', /4096/],
  ];
  for (const [name, payload, status, code, message] of table) {
    const { response, answer, lines, ...made } = await post(t, payload, { bodyLimit: 4096 });
    t.equal(response.statusCode, status, name);
    t.match(answer, { code, message }, name);
    t.strictSame(Object.keys(answer), ['code', 'message'], name);
    // With failurePolicy Ignore the API server creates a pod that is too large without us.
    const result = status === 413 ? 'error' : 'invalid';
    t.strictSame(await countsOf({ lines, ...made }), [[result, code, 1]], name);
  }
});

t.test('another content type and another path get a clear answer', async (t) => {
  const { response, answer } = await post(t, 'a: 1', {}, { 'content-type': 'application/yaml' });
  t.equal(response.statusCode, 415);
  t.match(answer, { code: 'REVIEW_CONTENT_TYPE', message: /application\/yaml/ });
  const { server } = testServer();
  t.teardown(() => server.close());
  const elsewhere = await server.inject({ method: 'GET', url: '/mutate' });
  t.equal(elsewhere.statusCode, 404);
  t.match(elsewhere.json(), { code: 'ROUTE_UNKNOWN', message: /GET \/mutate/ });
});

t.test('a pod near the limit of etcd, 1.5 MiB, is answered', async (t) => {
  const containers = [{ name: 'app', env: [{ name: 'X', value: 'x'.repeat(1_500_000) }] }];
  const { response, answer } = await post(t, reviewOf(creationOf({ ...POD, spec: { containers } })));
  t.equal(response.statusCode, 200);
  t.equal(answer.response.patchType, 'JSONPatch');
});

t.test('the schema changes nothing in the body', async (t) => {
  const request = { ...creationOf(POD), unknown: '5', dryRun: 'true' };
  const { server } = testServer();
  t.teardown(() => server.close());
  let seen: unknown;
  server.addHook('preHandler', async ({ body }) => {
    seen = structuredClone(body);
  });
  await server.inject({ method: 'POST', url: '/mutate', payload: { ...reviewOf(request), extra: '1' } });
  t.strictSame(seen, { ...reviewOf(request), extra: '1' });
});

t.test('a pod with keys that mean something to JavaScript is patched like others', async (t) => {
  const pod = JSON.stringify(POD).replace('{', '{"__proto__":{"a":1},"constructor":{"prototype":{}},');
  const { answer } = await post(t, JSON.stringify(reviewOf(creationOf('@'))).replace('"@"', pod));
  t.equal(answer.response.patchType, 'JSONPatch');
});

t.test('only while draining does an answer ask the client to leave', async (t) => {
  const payload = reviewOf(creationOf(POD));
  t.not((await post(t, payload)).response.headers['connection'], 'close');
  t.equal((await post(t, payload, { draining: () => true })).response.headers['connection'], 'close');
});

t.test('an answer with more than ASCII in it arrives whole', async (t) => {
  const { answer, response } = await post(t, reviewOf({ ...creationOf(POD), uid: '\u00fc\u{1f40b}' }));
  t.equal(answer.response.uid, '\u00fc\u{1f40b}');
  t.equal(Number(response.headers['content-length']), Buffer.byteLength(response.payload));
});
