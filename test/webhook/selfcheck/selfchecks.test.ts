import t from 'tap';
import { makeCertificate } from '../../../webhook/certificates/make-certificates.ts';
import { fingerprint } from '../../../webhook/certificates/read-certificates.ts';
import { canaryAddition, whatIsWrong } from '../../../webhook/selfcheck/canary.ts';
import { configurationFinding } from '../../../webhook/selfcheck/configuration-finding.ts';
import { certificateFinding, neededPermissions, replicasFinding } from '../../../webhook/selfcheck/selfchecks.ts';
import { SETTINGS } from '../admission/injection-settings.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const { cert } = await makeCertificate(new Date(NOW));

t.test('a certificate is ok from its begin to its end', async (t) => {
  const DAY = 86_400_000;
  t.match(certificateFinding(cert, NOW), { ok: true, detail: 'valid until 2031-01-01' });
  t.match(certificateFinding(cert, NOW + 365 * DAY), { ok: false, detail: 'expired' });
  t.match(certificateFinding(cert, NOW - DAY), { ok: false, detail: 'not valid yet' });
  t.match(certificateFinding('', NOW), { ok: false, detail: 'there is no certificate' });
});

t.test('replicas agree where each that answers serves the same, and each that is Ready answers', async (t) => {
  const print = fingerprint(cert);
  const peer = (pod: string, fingerprint: string | undefined, ready = true) => ({ pod, fingerprint, ready });
  t.match(replicasFinding([peer('a', print), peer('b', print), peer('c', undefined, false)], print), { ok: true });
  t.match(replicasFinding([peer('a', print), peer('b', 'other')], print), { ok: false, detail: /by b$/ });
  t.match(replicasFinding([peer('a', print), peer('b', undefined)], print), { ok: false, detail: /from b$/ });
});

const patched = (operations: object[]) => ({
  response: { allowed: true, patch: Buffer.from(JSON.stringify(operations)).toString('base64') },
});
const named = (...names: string[]) => ({
  op: 'add',
  path: '/spec/initContainers',
  value: names.map((name) => ({ name })),
});

t.test('a canary that does not come back whole is told apart', async (t) => {
  t.equal(whatIsWrong(patched([named('invalid-drop-init', 'invalid-drop-checker')]), 'containers'), undefined);
  t.equal(
    whatIsWrong(patched([named('invalid-drop-init')]), 'init container'),
    undefined,
    'without a checker where none is wanted',
  );
  t.match(whatIsWrong(patched([named('invalid-drop-init')]), 'containers'), 'lacks invalid-drop-checker');
  t.equal(whatIsWrong(patched([named('invalid-drop-checker')]), 'sidecar'), undefined);
  t.match(whatIsWrong(patched([named('invalid-drop-init')]), 'sidecar'), 'lacks invalid-drop-checker');
  t.match(whatIsWrong({ response: { allowed: true } }, 'containers'), 'without a patch');
  t.match(whatIsWrong({ response: { allowed: false } }, 'containers'), 'refused');
  t.match(whatIsWrong({}, 'containers'), 'refused');
});

t.test('where there are agents, the canary gets their readiness gate', async (t) => {
  const gate = { op: 'add', path: '/spec/readinessGates', value: [{ conditionType: 'invalid-drop.io/guarded' }] };
  t.equal(whatIsWrong(patched([gate]), 'readiness gate'), undefined);
  const containers = named('invalid-drop-init', 'invalid-drop-checker');
  t.match(whatIsWrong(patched([containers]), 'readiness gate'), 'lacks invalid-drop.io/guarded');
  const { options } = SETTINGS;
  t.equal(canaryAddition({ ...SETTINGS, nodeMode: 'available' }), 'readiness gate');
  t.equal(canaryAddition(SETTINGS), 'sidecar');
  t.equal(canaryAddition({ ...SETTINGS, nativeSidecars: false }), 'containers');
  t.equal(canaryAddition({ ...SETTINGS, options: { ...options, checker: 'disabled' } }), 'init container');
});

const webhook = {
  clientConfig: { service: { name: 'invalid-drop-webhook', namespace: 'invalid-drop-system', path: '/mutate' } },
  rules: [{ operations: ['CREATE'], resources: ['pods'] }],
  namespaceSelector: {
    matchExpressions: [
      { key: 'invalid-drop.io/inject', operator: 'In', values: ['enabled', 'pod', 'node'] },
      { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'invalid-drop-system'] },
    ],
  },
  objectSelector: { matchExpressions: [{ key: 'invalid-drop.io/inject', operator: 'NotIn', values: ['disabled'] }] },
  reinvocationPolicy: 'IfNeeded',
  failurePolicy: 'Ignore',
  sideEffects: 'None',
  timeoutSeconds: 5,
};

t.test('a configuration as shipped is ok, and says its policy', async (t) => {
  t.strictSame(configurationFinding({ webhooks: [webhook] }), { ok: true, detail: 'failurePolicy Ignore' });
});

t.test('each part that was changed is named', async (t) => {
  const [optedIn, excluded] = webhook.namespaceSelector.matchExpressions;
  const changes: [object, string | RegExp][] = [
    [{ clientConfig: { url: 'https://elsewhere' } }, 'does not call the Service'],
    [{ clientConfig: { service: { ...webhook.clientConfig.service, path: '/' } } }, 'path is not /mutate'],
    [{ rules: [] }, 'no rule asks for CREATE of pods'],
    [{ namespaceSelector: { matchExpressions: [excluded] } }, /does not select .* in \(enabled, pod, node\)/],
    [
      { namespaceSelector: { matchLabels: { 'invalid-drop.io/inject': 'enabled' }, matchExpressions: [excluded] } },
      'does not select',
    ],
    [{ namespaceSelector: { matchExpressions: [optedIn] } }, 'is not excluded'],
    [{ objectSelector: {} }, 'opt out by label'],
    [{ reinvocationPolicy: 'Never' }, 'reinvocationPolicy'],
    [{ sideEffects: 'Some' }, 'sideEffects'],
    [{ timeoutSeconds: 30 }, 'timeoutSeconds'],
  ];
  for (const [change, text] of changes) {
    const finding = configurationFinding({ webhooks: [{ ...webhook, ...change }] });
    t.notOk(finding.ok, String(text));
    t.match(finding.detail, text);
  }
  t.match(configurationFinding(undefined), { ok: false, detail: 'there is no' });
  t.match(configurationFinding({ webhooks: [] }), { ok: false, detail: 'names no webhook' });
});

t.test('only what is in use is asked for', async (t) => {
  const resources = (features: Parameters<typeof neededPermissions>[0]) =>
    neededPermissions(features).map(({ resource, verbs }) => `${resource} ${verbs}`);
  t.strictSame(resources({ secret: false, coverage: false, events: false }), [
    'namespaces list,watch',
    'mutatingwebhookconfigurations list,watch',
  ]);
  t.strictSame(resources({ secret: true, coverage: true, events: true }), [
    'namespaces list,watch',
    'mutatingwebhookconfigurations list,watch,patch',
    'secrets create',
    'secrets get,list,watch,update',
    'pods list,watch',
    'events list,watch',
    'events create',
  ]);
});
