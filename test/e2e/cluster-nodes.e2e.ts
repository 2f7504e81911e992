// A cluster of two nodes: what tests of the second node rely on.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openCluster } from '../../tools/cluster/cluster.ts';
import { writeImage, writeLayer } from '../../tools/cluster/cluster-images.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { waitUntil } from '../harness/wait-until.ts';

const IMAGE = 'localhost/invalid-drop-cluster/kubectl:1';
const READY = ['wait', '--for=condition=Ready', '--timeout=50s'];
const LIMIT = { limit: 60_000 };
const PORT = 8001;

if (process.env['KUBECONFIG'] && !process.env['CLUSTER']) {
  t.plan(0, 'these tests are of the cluster of tools/cluster itself, and KUBECONFIG names another');
  process.exit();
}

const settings = readSettings({ ...process.env, CLUSTER: `nodes-${process.pid}`, NODES: '2' });
const cluster = openCluster(settings);
const { kubectl } = cluster;
const NODES = [settings.name, `${settings.name}-2`];

/** Pods `one` and `two`, each on its node, that serve the cluster's API on all their addresses, and a Service of each. */
const pod = (name: string, nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: {
    nodeName,
    containers: [
      {
        name,
        image: IMAGE,
        args: ['proxy', `--port=${PORT}`, '--address=[::]', '--accept-hosts=.*'],
        readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
      },
    ],
  },
});
const service = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ipFamilyPolicy: 'RequireDualStack', selector: { app: name }, ports: [{ port: PORT }] },
});

async function addresses(kind: string, name: string, path: string): Promise<[ipv4: string, ipv6: string]> {
  const [ipv4 = '', ipv6 = ''] = (await kubectl(['get', kind, name, `--output=jsonpath={${path}}`])).split(' ');
  return [ipv4, ipv6];
}

t.before(async () => {
  await cluster.up();
  const directory = await mkdtemp(join(tmpdir(), 'cluster-nodes-'));
  t.teardown(() => rm(directory, { recursive: true }));
  await writeLayer({ kubectl: `${cluster.layout.bin}/kubectl` }, `${directory}/layer`);
  await writeImage([`${directory}/layer`], { Entrypoint: ['/kubectl'] }, IMAGE, `${directory}/image.tar`);
  await cluster.load(`${directory}/image.tar`, IMAGE);
  const items = [pod('one', NODES[0] ?? ''), pod('two', NODES[1] ?? ''), service('one'), service('two')];
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '-f', '-'], { input });
  await kubectl([...READY, 'pod/one', 'pod/two'], LIMIT);
});
t.teardown(() => cluster.down());

t.test('each node is Ready, with addresses of its own for itself and its pods', async (t) => {
  const path = '{.status.addresses[?(@.type=="InternalIP")].address}';
  t.equal(await kubectl(['get', 'node', NODES[0] ?? '', `--output=jsonpath=${path}`]), '10.244.0.1 fd10:244::1');
  t.equal(await kubectl(['get', 'node', NODES[1] ?? '', `--output=jsonpath=${path}`]), '10.244.64.1 fd10:244::2:1');
  const [one, two] = [
    await addresses('pod', 'one', '.status.podIPs[*].ip'),
    await addresses('pod', 'two', '.status.podIPs[*].ip'),
  ];
  t.match(one.join(' '), /^10\.244\.0\.\d+ fd10:244::[0-9a-f]+$/);
  t.match(two.join(' '), /^10\.244\.64\.\d+ fd10:244::2:[0-9a-f]+$/);
});

for (const [from, to] of [
  ['one', 'two'],
  ['two', 'one'],
] as const) {
  t.test(
    `pod ${from} reaches pod ${to} by its addresses, its Service's and its name; logs and exec do too`,
    async (t) => {
      const targets = [
        ...(await addresses('pod', to, '.status.podIPs[*].ip')),
        ...(await addresses('service', to, '.spec.clusterIPs[*]')),
        `${to}.default.svc.cluster.local`,
      ];
      for (const target of targets) {
        const host = target.includes(':') ? `[${target}]` : target;
        const asked = await kubectl([
          'exec',
          from,
          '--',
          '/kubectl',
          `--server=http://${host}:${PORT}`,
          'get',
          '--raw',
          '/api',
        ]);
        t.match(asked, /"APIVersions"/, target);
      }
      t.match(await kubectl(['logs', from]), /Starting to serve/);
      t.equal(
        (await cluster.pidsOfPod('default', from)).length,
        2,
        'its program, and the one that holds its namespaces',
      );
    },
  );
}

t.test('a Service without endpoints refuses connections', async (t) => {
  const none = { ...service('none'), spec: { ...service('none').spec, ipFamilyPolicy: 'SingleStack' } };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(none) });
  const address = await kubectl(['get', 'service', 'none', '--output=jsonpath={.spec.clusterIP}']);
  const command = ['/kubectl', `--server=http://${address}:${PORT}`, 'get', '--raw', '/api'];
  for (const from of ['one', 'two']) {
    const refused = await waitUntil(async () => {
      const { stderr } = await cluster.tryKubectl(['exec', from, '--', ...command], { limit: 5000 });
      return /connection.* refused/.test(stderr);
    }, 20_000);
    t.ok(refused, from);
  }
});

t.test("the second node's components end and come back by themselves", async (t) => {
  const pids = await cluster.pidsOfPod('default', 'two');
  await cluster.kill('containerd', 2);
  await cluster.stop('kubelet', 2);
  t.equal(await cluster.isUp(), false);
  t.match(await kubectl(['logs', 'one']), /Starting to serve/, 'the first node goes on');
  await cluster.start('containerd', 2);
  await cluster.start('kubelet', 2);
  t.equal(await cluster.isUp(), true);
  t.same(await cluster.pidsOfPod('default', 'two'), pids, 'and so did its containers');
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod('later', NODES[1] ?? '')) });
  await kubectl([...READY, 'pod/later'], LIMIT);
});

t.test('it is not taken for a cluster of more nodes', async (t) => {
  const more = openCluster({ ...settings, nodes: 3 });
  await t.rejects(more.up(), { code: 'CLUSTER_FEWER_NODES', message: /up with 2 of 3 nodes/ });
  t.equal(await openCluster({ ...settings, nodes: 1 }).up(), false, 'but for one of fewer');
});

t.test('nothing stays of it', async (t) => {
  await cluster.down();
  t.same(await cluster.leftovers(), []);
});
