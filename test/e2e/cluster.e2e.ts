// The one-node cluster itself: what other tests rely on.

import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openCluster } from '../../tools/cluster/cluster.ts';
import { writeImage, writeLayer } from '../../tools/cluster/cluster-images.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { must, Program } from '../harness/netns/processes.ts';
import { waitUntil } from '../harness/wait-until.ts';

const MAIN = fileURLToPath(new URL('../../tools/cluster/cluster-command.ts', import.meta.url));
const IMAGE = 'localhost/invalid-drop-cluster/kubectl:1';
const POD_LIMIT = 60_000;
/** Folders that Kubernetes' programs write where they have a machine for themselves. */
const PLACES = ['/var/lib/kubelet', '/var/lib/cni', '/run/containerd', '/var/log/pods', '/var/log/containers'];
/** Where a node has mounts of its own. */
const MOUNTS = ['/', '/run', '/var/lib', '/var/log', '/proc', '/sys'];
const SETTINGS = ['kernel.panic', 'kernel.panic_on_oops', 'vm.overcommit_memory', 'net.ipv4.ip_forward'];

if (process.env['KUBECONFIG'] && !process.env['CLUSTER']) {
  t.plan(0, 'these tests are of the one-node cluster itself, and KUBECONFIG names another');
  process.exit();
}

const settingsOf = (name: string) => readSettings({ ...process.env, CLUSTER: name });
const cluster = openCluster(settingsOf(`e2e-${process.pid}`));
const { kubectl } = cluster;
const machine = async () => ({
  mounts: (await must('findmnt', ['--raw', '--noheadings', '--output=TARGET,SOURCE,PROPAGATION']))
    .split('\n')
    .filter((line) => MOUNTS.includes(line.split(' ')[0] ?? '')),
  places: PLACES.filter((place) => existsSync(place)),
  settings: await must('sysctl', SETTINGS),
  tables: await must('nft', ['list', 'tables']),
});
const before = await machine();

t.before(async () => {
  t.equal(await cluster.up(), true, 'it was not up');
});
t.teardown(() => cluster.down());

/** A pod whose program serves the cluster's API on its loopback address, and can be executed as a client too. */
async function addPod(name: string): Promise<void> {
  await kubectl(['run', name, `--image=${IMAGE}`, '--image-pull-policy=Never', '--', 'proxy', '--port=8001']);
  await kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=50s'], { limit: POD_LIMIT });
}

t.test('the node is Ready and has an address of each family', async (t) => {
  const path = '{.status.nodeInfo.kubeletVersion} {.status.addresses[?(@.type=="InternalIP")].address}';
  const printed = await kubectl(['get', 'node', cluster.layout.name, `--output=jsonpath=${path}`]);
  t.match(printed, /^v1\.34\.\d+ 10\.244\.0\.1 fd10:244::1$/);
  t.equal(await cluster.isUp(), true);
  t.equal(await cluster.up(), false, 'a second time it has nothing to do');
});

t.test('a pod runs from a local image', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'cluster-e2e-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const archive = `${directory}/image.tar`;
  await writeLayer({ kubectl: `${cluster.layout.bin}/kubectl` }, `${directory}/layer`);
  await writeImage([`${directory}/layer`], { Entrypoint: ['/kubectl'] }, IMAGE, archive);
  await cluster.load(archive, IMAGE);
  await addPod('client');
  const addresses = await kubectl(['get', 'pod', 'client', '--output=jsonpath={.status.podIPs[*].ip}']);
  t.match(addresses, /^10\.244\.\d+\.\d+ fd10:244::[0-9a-f]+$/, 'with an address of each family');
  t.match(await kubectl(['logs', 'client']), /Starting to serve/, 'and its log can be read');
});

t.test('a pod finds a Service by its name, and reaches it', async (t) => {
  const server = ['--server=https://kubernetes.default.svc', '--token=none'];
  const ca = '--certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt';
  const command = ['/kubectl', ...server, ca, 'get', '--raw', '/api'];
  const { stderr } = await cluster.tryKubectl(['exec', 'client', '--', ...command]);
  // The API server answers only where name, address and certificate are right.
  t.match(stderr, /Unauthorized|must be logged in/);
  const unknown = command.map((word) => word.replace('kubernetes.default', 'nobody.default'));
  t.match((await cluster.tryKubectl(['exec', 'client', '--', ...unknown])).stderr, /no such host/);
});

t.test('a pod is entered from the node', async (t) => {
  const [program = '', ...args] = await cluster.enterPod('default', 'client', [
    'ip',
    '-brief',
    'address',
    'show',
    'eth0',
  ]);
  t.match(await must(program, args), /10\.244\.\d+\.\d+.*fd10:244::/);
  await t.rejects(cluster.pidsOfPod('default', 'nobody'), /not found/);
});

t.test('the audit log says who did what', async (t) => {
  const lines = (await readFile(cluster.layout.auditLog, 'utf8')).trim().split('\n');
  const events = lines.map((line) => JSON.parse(line));
  t.ok(
    events.some(
      ({ user, verb, objectRef }) => user.username === 'admin' && verb === 'create' && objectRef?.name === 'client',
    ),
  );
});

t.test('a container goes on while containerd and kubelet are away, and they come back', async (t) => {
  const pids = await cluster.pidsOfPod('default', 'client');
  await cluster.kill('containerd');
  await cluster.stop('kubelet');
  t.equal(await cluster.isUp(), false);
  t.same(await cluster.pidsOfPod('default', 'client'), pids);
  await cluster.start('containerd');
  await cluster.start('kubelet');
  t.equal(await cluster.isUp(), true);
  t.same(await cluster.pidsOfPod('default', 'client'), pids);
  await addPod('later');
});

t.test('the API server comes back with what it knew', async (t) => {
  await cluster.kill('kube-apiserver');
  t.not((await cluster.tryKubectl(['get', '--raw', '/readyz'])).exitCode, 0);
  await cluster.start('kube-apiserver');
  t.equal(await cluster.isUp(), true);
  t.match(await kubectl(['get', 'pods', '--output=name']), /pod\/client\npod\/later\n/);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  for (const component of ['etcd', 'kubelet']) {
    t.test(`nothing stays of a cluster that ${signal} interrupts once ${component} was started`, async (t) => {
      const other = openCluster(settingsOf(`e2e-${process.pid}-other`));
      const env = { ...process.env, CLUSTER: other.layout.name };
      const up = new Program(process.execPath, [MAIN, 'up'], { env });
      t.teardown(() => other.down());
      t.ok(await waitUntil(async () => existsSync(`${other.layout.pids}/${component}`), POD_LIMIT));
      up.child.kill(signal);
      const { stderr } = await up.end(POD_LIMIT);
      if (signal === 'SIGKILL') {
        t.not((await other.leftovers()).length, 0, 'it could not clean up itself');
        await other.down();
      } else t.match(stderr, /CLUSTER_INTERRUPTED/);
      t.same(await other.leftovers(), []);
    });
  }
}

t.test('a component that does not stay is named, with what it said', async (t) => {
  const assets = await mkdtemp(join(tmpdir(), 'cluster-e2e-'));
  t.teardown(() => rm(assets, { recursive: true }));
  const program = '#!/bin/sh\n[ "$1" = -version ] && echo CoreDNS-1 && exit\necho the reason >&2; exit 1\n';
  await writeFile(`${assets}/coredns`, program, { mode: 0o755 });
  const other = openCluster({ ...settingsOf(`e2e-${process.pid}-other`), assets });
  await t.rejects(other.up(), { code: 'CLUSTER_ENDED', message: /^coredns ended: .*the reason/s });
  t.same(await other.leftovers(), []);
});

t.test('one that is dead is removed before it comes up again', async (t) => {
  await cluster.kill('etcd');
  t.equal(await cluster.up(), true);
  t.equal(await kubectl(['get', 'pods', '--output=name']), '');
});

t.test('down leaves the machine as it was', async (t) => {
  await cluster.down();
  t.same(await cluster.leftovers(), []);
  t.same(await machine(), before);
  await t.resolves(cluster.down(), 'also where nothing is up');
});
