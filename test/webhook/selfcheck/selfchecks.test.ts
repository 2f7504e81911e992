import t from 'tap';
import { makeCertificate } from '../../../webhook/certificates/make-certificates.ts';
import { fingerprint } from '../../../webhook/certificates/read-certificates.ts';
import { whatIsWrong } from '../../../webhook/selfcheck/canary.ts';
import {
  certificateFinding,
  configurationFinding,
  neededPermissions,
  replicasFinding,
} from '../../../webhook/selfcheck/selfchecks.ts';

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
  t.equal(whatIsWrong(patched([named('invalid-drop-init', 'invalid-drop-checker')]), true), undefined);
  t.equal(
    whatIsWrong(patched([named('invalid-drop-init')]), false),
    undefined,
    'without a checker where none is wanted',
  );
  t.match(whatIsWrong(patched([named('invalid-drop-init')]), true), 'lacks invalid-drop-checker');
  t.match(whatIsWrong({ response: { allowed: true } }, true), 'without a patch');
  t.match(whatIsWrong({ response: { allowed: false } }, true), 'refused');
  t.match(whatIsWrong({}, true), 'refused');
});

const webhook = {
  clientConfig: { service: { name: 'invalid-drop-webhook', namespace: 'invalid-drop-system', path: '/mutate' } },
  rules: [{ operations: ['CREATE'], resources: ['pods'] }],
  namespaceSelector: {
    matchLabels: { 'invalid-drop.io/inject': 'enabled' },
    matchExpressions: [
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
  const byExpression = {
    matchExpressions: [
      { key: 'invalid-drop.io/inject', operator: 'In', values: ['enabled'] },
      ...webhook.namespaceSelector.matchExpressions,
    ],
  };
  t.match(configurationFinding({ webhooks: [{ ...webhook, namespaceSelector: byExpression }] }), { ok: true });
});

t.test('each part that was changed is named', async (t) => {
  const changes: [object, string][] = [
    [{ clientConfig: { url: 'https://elsewhere' } }, 'does not call the Service'],
    [{ clientConfig: { service: { ...webhook.clientConfig.service, path: '/' } } }, 'path is not /mutate'],
    [{ rules: [] }, 'no rule asks for CREATE of pods'],
    [{ namespaceSelector: { matchExpressions: webhook.namespaceSelector.matchExpressions } }, 'does not select'],
    [{ namespaceSelector: { matchLabels: webhook.namespaceSelector.matchLabels } }, 'is not excluded'],
    [{ objectSelector: {} }, 'opt out by label'],
    [{ reinvocationPolicy: 'Never' }, 'reinvocationPolicy'],
    [{ sideEffects: 'Some' }, 'sideEffects'],
    [{ timeoutSeconds: 30 }, 'timeoutSeconds'],
  ];
  for (const [change, text] of changes) {
    const finding = configurationFinding({ webhooks: [{ ...webhook, ...change }] });
    t.notOk(finding.ok, text);
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
