// Admissions while replicas come and go and certificates change, with failurePolicy Fail so that nothing hides.
import t from 'tap';
import { OWN_NAMESPACE } from '../../init-image/contract.ts';
import { SECRET } from '../../webhook/certificates/secret.ts';
import { connectCluster } from '../../webhook/cluster/client.ts';
import { eventually } from './harness/eventually.ts';
import { install, rolledOut } from './harness/installation.ts';
import { getJson, kubectl } from './harness/kubectl.ts';
import { type Phase, phaseTable, startLoad } from './harness/load.ts';
import { optedInNamespace } from './harness/namespaces.ts';
import { pidOfContainer, restart, skipWithoutNode } from './harness/node.ts';
import { getPods, isReady } from './harness/pods.ts';

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

/** A whole rotation: the Secret is deleted, and a new authority announced, used, and alone in the bundle. */
async function rotate(): Promise<void> {
  const before = (await getSecret()).data['ca.crt'];
  await kubectl(['delete', 'secret', SECRET, '-n', OWN_NAMESPACE]);
  await eventually('the authority has been replaced', async () => {
    const { data } = await getSecret();
    return data['ca.crt'] !== before && data['next-ca.crt'] === undefined && data['ca-bundle.crt'] === data['ca.crt'];
  });
}

/** As `kubectl drain` does, and as it waits: again while the budget allows no disruption. */
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
    const planned: Phase[] = [];
    const unplanned: Phase[] = [];
    const enough = (phase: Phase, more = 50) =>
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

    planned.push(load.begin(`new certificate and authority, ${ROTATIONS} times`));
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
