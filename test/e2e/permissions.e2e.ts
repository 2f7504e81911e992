// Compares the webhook's requests in the whole run, from the audit log, with its permissions. Runs after the other
// tests.

import t from 'tap';
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { SECRET } from '../../webhook/certificates/tls-secret.ts';
import { askedBy, forbiddenOf, grantsOf, neededFor, type Role } from '../harness/cluster/audit-log.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

t.before(() => install());

t.test('nothing was forbidden, and every permission was used', { skip: skipWithoutNode }, async (t) => {
  // A short run may lack these: an Event, a new Secret, and a step of its rotation.
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'older'));
  await waitReady(namespace, 'older');
  await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
  await kubectl(['delete', 'secret', SECRET, '-n', OWN_NAMESPACE]);
  await eventually('an Event is there', async () => {
    const { items } = await getJson<{ items: { reason: string }[] }>('events', '-n', namespace);
    return items.some(({ reason }) => reason === 'NotGuarded');
  });
  await eventually('the CA has been replaced', async () => {
    const secret = await getJson<{ data: Record<string, string> }>('secret', SECRET, '-n', OWN_NAMESPACE);
    return secret.data['next-ca.crt'] === undefined && secret.data['ca-bundle.crt'] === secret.data['ca.crt'];
  });
  t.ok(JSON.parse(await askWebhook('/selfcheck')).ok);

  const asked = await askedBy('invalid-drop-webhook');
  t.ok(asked.length > 0);
  const forbidden = forbiddenOf(asked);
  t.strictSame(forbidden, []);
  const used = new Set(asked.map(neededFor));
  const cluster = await getJson<Role>('clusterrole', 'invalid-drop-webhook');
  const own = await getJson<Role>('role', 'invalid-drop-webhook', '-n', OWN_NAMESPACE);
  const unused = [...grantsOf(cluster), ...grantsOf(own)].filter((grant) => !used.has(grant));
  t.strictSame(unused, []);
  t.comment(`${asked.length} requests of the webhook, ${forbidden.length} forbidden, ${used.size} kinds`);
});
