// Compares the webhook's requests in the whole run, from the audit log, with its permissions. Runs after the other
// tests.

import { readFile } from 'node:fs/promises';
import t from 'tap';
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { SECRET } from '../../webhook/certificates/tls-secret.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { node, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const USER = `system:serviceaccount:${OWN_NAMESPACE}:invalid-drop-webhook`;

interface AuditEvent {
  stage: string;
  verb: string;
  requestURI: string;
  user: { username: string };
  objectRef?: { resource: string; namespace?: string; name?: string; apiGroup?: string };
  annotations?: Record<string, string>;
}

interface Role {
  rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

async function askedByWebhook(): Promise<AuditEvent[]> {
  const lines = (await readFile(node().auditLog, 'utf8')).split('\n').filter((line) => line.includes(USER));
  return lines.map((line) => JSON.parse(line) as AuditEvent).filter(({ user }) => user.username === USER);
}

/** Verb and resource, as RBAC has them. */
const grantsOf = ({ rules }: Role) =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
  );

/** A request without its resourceVersion, so that repeated ones are equal. */
const questionOf = ({ verb, requestURI }: AuditEvent) => `${verb} ${requestURI.replace(/resourceVersion=\d+&?/, '')}`;

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

  const asked = await askedByWebhook();
  // Authorization's own word: status 403 is also the answer to a write into a namespace that is being deleted.
  const decided = (decision: string) =>
    asked.filter(({ annotations }) => annotations?.['authorization.k8s.io/decision'] === decision).map(questionOf);
  // An API server that has just been started forbids all until it has read the roles: the same is allowed before and
  // after.
  const allowed = new Set(decided('allow'));
  t.ok(allowed.size > 0);
  const forbidden = decided('forbid');
  t.strictSame(
    forbidden.filter((question) => !allowed.has(question)),
    [],
  );
  const used = new Set(
    asked.map(({ verb, objectRef }) => `${verb} ${objectRef?.apiGroup ?? ''}/${objectRef?.resource}`),
  );
  const cluster = await getJson<Role>('clusterrole', 'invalid-drop-webhook');
  const own = await getJson<Role>('role', 'invalid-drop-webhook', '-n', OWN_NAMESPACE);
  const unused = [...grantsOf(cluster), ...grantsOf(own)].filter((grant) => !used.has(grant));
  t.strictSame(unused, []);
  t.comment(`${asked.length} requests of the webhook, ${forbidden.length} forbidden, ${used.size} kinds`);
});
