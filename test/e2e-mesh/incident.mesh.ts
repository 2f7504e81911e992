// The incident: uploads through gateway and sidecar while segments are pushed out of the window between the two.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { enterPod } from '../../tools/cluster/cluster-node.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import { kubectl } from '../harness/cluster/kubectl.ts';
import { node, PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, isInjected, type Pod } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { accessLog, gatewayPod, untilPassedOn, upload, withStrays } from '../harness/mesh/gateway-uploads.ts';
import { meshNamespace, runStore } from '../harness/mesh/object-store.ts';
import { Program } from '../harness/netns/processes.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const ARTEFACTS = fileURLToPath(new URL('../../.run/mesh', import.meta.url));
/** Response code and flags of an upstream connection that was reset (Envoy's access log format). */
const RESET = / 503 UC /;
const UNGUARDED = 6;
const GUARDED = 200;
let gateway: Pod;
let address = '';

t.before(async () => {
  await install();
  gateway = await gatewayPod();
  address = gateway.status.podIP ?? '';
  await mkdir(ARTEFACTS, { recursive: true });
});

/** Packets of a pod's port 9000, headers only, until `work` is over. */
async function captured<T>(namespace: string, pod: string, file: string, work: () => Promise<T>): Promise<T> {
  const tcpdump = ['tcpdump', '-i', 'any', '-s', '120', '-U', '-w', file, 'tcp port 9000'];
  const [program = '', ...args] = await enterPod(node(), namespace, pod, tcpdump);
  const capture = new Program(program, args);
  // It reports on standard error that it listens; waitForOutput reads standard output.
  capture.child.stderr?.on('data', (text) => capture.child.stdout?.emit('data', text));
  await capture.waitForOutput(/listening on/);
  try {
    return await work();
  } finally {
    await capture.stop('SIGINT');
  }
}

t.test('without the label: uploads with stray segments end with 503 UC', { skip }, async (t) => {
  const namespace = await meshNamespace(t, false);
  const name = `store.${namespace}`;
  t.notOk(isInjected(await runStore(namespace, 'store')));
  await untilPassedOn(address, name);
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  t.strictSame(
    (await upload(address, name, 2)).filter(({ ok }) => !ok),
    [],
    'without stray segments they are fine',
  );

  const one = () => withStrays(sender, () => upload(address, name, 1));
  await captured(namespace, 'store', `${ARTEFACTS}/reset.pcap`, one);
  const { result, strays } = await withStrays(sender, () => upload(address, name, UNGUARDED - 1));
  t.equal(result.filter(({ ok }) => !ok).length, UNGUARDED - 1, JSON.stringify(result));
  t.ok(strays > 0);
  const lines = (await accessLog(gateway, name)).filter((line) => RESET.test(line));
  t.equal(lines.length, UNGUARDED, 'the gateway says so, once an upload');
  await writeFile(`${ARTEFACTS}/gateway-access.log`, `${lines.join('\n')}\n`);
  t.comment(lines[0] ?? '');
});

t.test(`with it: none of ${GUARDED} uploads, through both Envoys`, { skip }, async (t) => {
  const namespace = await meshNamespace(t, true);
  const name = `store.${namespace}`;
  t.ok(isInjected(await runStore(namespace, 'store')));
  await untilPassedOn(address, name);
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  const { result, strays } = await withStrays(sender, () => upload(address, name, GUARDED));
  t.strictSame(
    result.filter(({ ok }) => !ok),
    [],
  );
  t.equal(result.length, GUARDED);
  t.ok(strays >= GUARDED, `${strays} stray segments`);
  // A connection that was rescued is liberal: its later stray segments are valid, and the sidecar discards them.
  const some = async () => (await droppedPackets(namespace, 'store')) > 0;
  t.ok(await eventually('the checker has counted some', some));
  t.strictSame(
    (await accessLog(gateway, name)).filter((line) => RESET.test(line)),
    [],
  );
  const sidecar = await kubectl(['logs', '-n', namespace, 'store', '-c', 'istio-proxy']);
  t.ok(sidecar.split('\n').filter((line) => / 200 - .*inbound\|9000/.test(line)).length >= GUARDED, 'in its log too');
});

/** Of the checker's metrics: both families. */
async function droppedPackets(namespace: string, pod: string): Promise<number> {
  const metrics = await askChecker(namespace, pod, '/metrics');
  const counts = [...metrics.matchAll(/^invalid_drop_dropped_packets_total(?:\{.*\})? (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
