// Removes the webhook again. The last of the suite.
import t from 'tap';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { apply, getJson, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import { askChecker, barePod, getPod, isInjected, isReady, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { install, uninstall } from '../harness/cluster/webhook-installation.ts';

const CLUSTER_KINDS = ['clusterroles', 'clusterrolebindings', 'mutatingwebhookconfigurations', 'namespaces'];

t.test(
  'after kubectl delete -k: guarded pods stay guarded, others are created as before, nothing is left',
  async (t) => {
    await install();
    const namespace = await optedInNamespace(t);
    await apply(barePod(namespace, 'guarded'));
    const before = await waitReady(namespace, 'guarded');

    await uninstall();
    await apply(barePod(namespace, 'after'));
    t.notOk(isInjected(await waitReady(namespace, 'after')));

    const pod = await getPod(namespace, 'guarded');
    t.ok(isReady(pod));
    t.equal(pod.metadata.uid, before.metadata.uid);
    t.match(JSON.parse(await askChecker(namespace, 'guarded', '/selfcheck')), { guarded: true });

    for (const kind of CLUSTER_KINDS) {
      const { items } = await getJson<{ items: { metadata: { name: string } }[] }>(
        kind,
        '-l',
        'app.kubernetes.io/name=invalid-drop',
      );
      t.strictSame(
        items.map(({ metadata }) => metadata.name),
        [],
        kind,
      );
    }
    t.match((await tryKubectl(['get', 'namespace', OWN_NAMESPACE])).stderr, 'NotFound');
    const everything = await kubectl([
      'get',
      'all,secrets,configmaps,roles,rolebindings,pdb,networkpolicies',
      '-A',
      '-o',
      'name',
      '-l',
      'app.kubernetes.io/name=invalid-drop',
    ]);
    t.equal(everything.trim(), '');
  },
);

t.test('it can be installed again', async (t) => {
  await install();
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'guarded'));
  t.ok(isInjected(await waitReady(namespace, 'guarded')));
});
