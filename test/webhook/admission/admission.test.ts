import t from 'tap';
import { admit, admitAfterError, describeRequest } from '../../../webhook/admission/admission.ts';
import { creationOf, SETTINGS } from './injection-settings.ts';

const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };

t.test('an injection is a base64 JSON Patch under the uid of the request', async (t) => {
  const { response, result, reason } = admit({ request: creationOf(POD) }, undefined, SETTINGS);
  t.match(response, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
  t.match(response.response, { uid: creationOf(POD).uid, allowed: true, patchType: 'JSONPatch' });
  const operations = JSON.parse(Buffer.from(response.response.patch ?? '', 'base64').toString());
  t.match(operations[0], { op: 'add', path: '/spec/initContainers' });
  t.notOk(response.response.warnings);
  t.strictSame([result, reason], ['injected', '']);
});

t.test('a pod that an agent guards gets a patch for its gate, and in mode observe none', async (t) => {
  const namespace = { labels: { 'invalid-drop.io/inject': 'node' }, annotations: {} };
  const settings = { ...SETTINGS, nodeMode: 'available' as const };
  const { response, result, reason } = admit({ request: creationOf(POD) }, namespace, settings);
  t.match(response.response, { allowed: true, patchType: 'JSONPatch', warnings: undefined });
  t.strictSame(JSON.parse(Buffer.from(response.response.patch ?? '', 'base64').toString()), [
    { op: 'add', path: '/spec/readinessGates', value: [{ conditionType: 'invalid-drop.io/guarded' }] },
  ]);
  t.strictSame([result, reason], ['gated', '']);
  const observing = { ...POD, metadata: { annotations: { 'invalid-drop.io/mode': 'observe' } } };
  const observed = admit({ request: creationOf(observing) }, namespace, settings);
  t.strictSame(observed, {
    response: {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: creationOf(POD).uid, allowed: true },
    },
    result: 'observed',
    reason: '',
  });
});

t.test('a namespace that asks for agents where there are none holds no pod back', async (t) => {
  const { response, result, reason } = admit(
    { request: creationOf(POD) },
    { labels: { 'invalid-drop.io/inject': 'node' }, annotations: {} },
    SETTINGS,
  );
  t.strictSame(response.response, {
    uid: creationOf(POD).uid,
    allowed: true,
    warnings: ['invalid-drop: not guarded: no-node-agents: its namespace asks for node agents, and there are none'],
  });
  t.strictSame([result, reason], ['skipped', 'no-node-agents']);
});

t.test('a skip lets the pod through with one warning', async (t) => {
  const pod = { ...POD, spec: { ...POD.spec, hostNetwork: true } };
  const { response, result, reason } = admit({ request: creationOf(pod) }, undefined, SETTINGS);
  t.strictSame(response.response, {
    uid: creationOf(POD).uid,
    allowed: true,
    warnings: ["invalid-drop: not guarded: host-network: the rule would apply to the node's network"],
  });
  t.strictSame([result, reason], ['skipped', 'host-network']);
});

t.test('an injected pod that has the port of the checker causes a warning that no client cuts off', async (t) => {
  const annotations = { 'invalid-drop.io/checker-port': '65535' };
  const containers = [{ name: 'app', ports: [{ containerPort: 65_535 }] }];
  const { response, result, message } = admit(
    { request: creationOf({ metadata: { annotations }, spec: { containers } }) },
    undefined,
    SETTINGS,
  );
  t.equal(result, 'injected');
  t.ok(response.response.patch);
  t.match(response.response.warnings, [/^invalid-drop: port 65535 is declared .* invalid-drop\.io\/checker-port$/]);
  t.ok(message !== undefined && message.length < 120);
});

t.test('a refusal carries the message where kubectl prints it', async (t) => {
  const pod = { ...POD, metadata: { annotations: { 'invalid-drop.io/mode': 'off' } } };
  const { response, result, reason } = admit({ request: creationOf(pod) }, undefined, SETTINGS);
  t.equal(response.response.allowed, false);
  t.equal(response.response.status?.code, 400);
  t.match(response.response.status?.message, /invalid-drop\.io\/mode="off".*enforce or observe/);
  t.strictSame([result, reason], ['refused', 'annotation-invalid']);
});

t.test('a fault of ours lets the pod through with a warning', async (t) => {
  const { response, result, reason } = admitAfterError('abc');
  t.match(response.response, { uid: 'abc', allowed: true, warnings: [/^invalid-drop: not guarded: internal-error/] });
  t.strictSame([result, reason], ['error', 'internal-error']);
});

t.test('the log line takes the name, else the prefix of a name to come, and cuts both', async (t) => {
  t.strictSame(describeRequest(creationOf(POD)), { namespace: 'storage', pod: 'store-0' });
  t.equal(describeRequest(creationOf({ metadata: { generateName: 'store-' } })).pod, 'store-');
  t.equal(describeRequest(creationOf(null, { name: 'from-request' })).pod, 'from-request');
  t.equal(describeRequest(creationOf({ metadata: { name: 'x'.repeat(1000) } })).pod.length, 253);
  t.strictSame(describeRequest({ object: { metadata: [] } }), { namespace: '', pod: '' });
});
