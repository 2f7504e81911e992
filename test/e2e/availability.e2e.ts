// Admissions while replicas come and go and certificates change. With failurePolicy Fail, each missed answer is an
// error.
import t from 'tap';
import { connectCluster } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE, VERSION } from '../../lib/contract.ts';
import { SECRET } from '../../webhook/certificates/tls-secret.ts';
import { type LoadPhase, phaseTable, startLoad } from '../harness/cluster/creation-load.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { pidOfContainer, restart, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, getPods, isReady, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, configure, install, rolledOut } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const ROTATIONS = 10;
const CONFIGURATION = ['mutatingwebhookconfiguration', 'invalid-drop-injector'];
const DEPLOYMENT = ['deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE];

t.before(() => install());
t.after(() => install());

const patchConfiguration = (op: object) =>
  kubectl(['patch', ...CONFIGURATION, '--type=json', '-p', JSON.stringify([op])]);

interface TlsSecret {
  metadata: { uid: string };
  data: Record<string, string>;
}

const getSecret = () => getJson<TlsSecret>('secret', SECRET, '-n', OWN_NAMESPACE);

/** A whole rotation: the Secret is deleted, and a new CA is announced, used, and at last alone in the bundle. */
async function rotate(): Promise<void> {
  const before = (await getSecret()).data['ca.crt'];
  await kubectl(['delete', 'secret', SECRET, '-n', OWN_NAMESPACE]);
  await eventually('the CA has been replaced', async () => {
    const { data } = await getSecret();
    return data['ca.crt'] !== before && data['next-ca.crt'] === undefined && data['ca-bundle.crt'] === data['ca.crt'];
  });
}

/** Evicts a pod as `kubectl drain` does: it tries again while the disruption budget refuses. */
async function evict(pod: string): Promise<void> {
  const client = connectCluster(process.env['KUBECONFIG'] ?? '');
  const path = `/api/v1/namespaces/${OWN_NAMESPACE}/pods/${pod}/eviction`;
  await eventually(`${pod} is evicted`, async () => {
    await client.create(path, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod, namespace: OWN_NAMESPACE },
    });
    return true;
  });
}

const bothReady = () =>
  eventually('two replicas are Ready', async () => (await getPods(OWN_NAMESPACE)).filter(isReady).length === 2);

t.test(
  'no admission fails in what is planned; of the rest it is said how many, and for how long',
  { skip: skipWithoutNode },
  async (t) => {
    const namespace = await optedInNamespace(t);
    await patchConfiguration({ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' });
    const load = startLoad(namespace);
    t.teardown(() => load.stop());
    const planned: LoadPhase[] = [];
    const unplanned: LoadPhase[] = [];
    const enough = (phase: LoadPhase, more = 50) =>
      eventually(`creations in "${phase.name}"`, () => phase.created > more && phase.created);

    planned.push(load.begin('rolling restart'));
    await kubectl(['rollout', 'restart', ...DEPLOYMENT]);
    await rolledOut();

    planned.push(load.begin('eviction of each replica'));
    for (const { metadata } of await getPods(OWN_NAMESPACE)) {
      await evict(metadata.name);
      await bothReady();
    }
    await rolledOut();

    planned.push(load.begin(`new certificate and CA, ${ROTATIONS} times`));
    for (let rotation = 0; rotation < ROTATIONS; rotation++) await rotate();

    const killed = load.begin('kill -9 of one replica');
    unplanned.push(killed);
    const [victim] = await getPods(OWN_NAMESPACE);
    if (victim === undefined) throw new Error('no replica');
    process.kill(await pidOfContainer(victim, 'webhook'), 'SIGKILL');
    await enough(killed);
    await bothReady();

    const emptied = load.begin('caBundle emptied');
    unplanned.push(emptied);
    await patchConfiguration({ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' });
    await enough(emptied);

    const away = load.begin('API server restarted');
    unplanned.push(away);
    await restart('kube-apiserver');
    await enough(away);

    const after = load.begin('after all of it');
    await enough(after);
    await load.stop();
    for (const line of phaseTable(load.phases)) t.comment(line);
    for (const phase of [...planned, after]) {
      t.ok(phase.created > 50, `${phase.name}: ${phase.created} creations`);
      t.strictSame([phase.failed, phase.missed], [0, 0], `${phase.name}: ${phase.example}`);
    }
    for (const phase of unplanned) t.ok(phase.created > 50, `${phase.name}: recovered`);
  },
);

const previous = process.env['INVALID_DROP_E2E_PREVIOUS'];
const skipUpgrade = previous
  ? false
  : 'there are no images of the previous commit: run it by make e2e, in a clone with a history';

t.test(
  "an upgrade from the previous commit's images: no admission fails, and older pods are told apart",
  { skip: skipUpgrade },
  async (t) => {
    const namespace = await optedInNamespace(t);
    const image = (name: string) => `localhost/invalid-drop/${name}:${VERSION}${previous}`;
    await kubectl(['set', 'image', ...DEPLOYMENT, `webhook=${image('webhook')}`]);
    await configure({ INVALID_DROP_IMAGE: image('init-image') });
    await apply(barePod(namespace, 'older'));
    await waitReady(namespace, 'older');
    await patchConfiguration({ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Fail' });

    const load = startLoad(namespace);
    t.teardown(() => load.stop());
    const upgrade = load.begin('upgrade');
    await kubectl(['set', 'image', ...DEPLOYMENT, `webhook=localhost/invalid-drop/webhook:${VERSION}`]);
    await configure({ INVALID_DROP_IMAGE: `localhost/invalid-drop/init-image:${VERSION}` });
    await load.stop();
    for (const line of phaseTable([upgrade])) t.comment(line);
    t.ok(upgrade.created > 50, `${upgrade.created} creations`);
    t.strictSame([upgrade.failed, upgrade.missed], [0, 0], upgrade.example);

    await apply(barePod(namespace, 'newer'));
    await waitReady(namespace, 'newer');
    const { reasons } = await eventually('coverage knows both', async () => {
      const report = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
      return report.total === 2 && report.reasons.guarded === 1 && report;
    });
    t.strictSame(reasons, { guarded: 1, 'guarded-by-older-version': 1 });
  },
);
