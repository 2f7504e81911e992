// What an operator does about resets in a mesh: asks "was it this?", and guards pods that run already.

import t from 'tap';
import { CHECKER_CONTAINER, OPT_IN_LABEL } from '../../lib/contract.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import { runCli } from '../harness/cluster/cli-run.ts';
import { getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { onNode, PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { getPod, getPods, type Pod, restartsIn } from '../harness/cluster/pod-status.ts';
import { askWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { gatewayPod, untilPassedOn, upload, withStrays } from '../harness/mesh/gateway-uploads.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, runStore } from '../harness/mesh/object-store.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const IMAGE = process.env['INVALID_DROP_E2E_INIT_IMAGE'] ?? 'localhost/invalid-drop/init-image:0.1.0';
const EXPLAIN = ['node', '/opt/invalid-drop/check.js', '--explain', '--seconds', '5'];
const LIMIT = 90_000;
let gateway: Pod;
let address = '';

t.before(async () => {
  if (skip) return;
  await install();
  t.teardown(await startShaper());
  gateway = await gatewayPod();
  address = gateway.status.podIP ?? '';
});

/** Repeats uploads with stray segments until `work` is over. @returns its result */
async function underStrays<T>(name: string, work: () => Promise<T>): Promise<T> {
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  const { result } = await withStrays(sender, async () => {
    let over = false;
    const done = work().finally(() => {
      over = true;
    });
    // The work has a limit of its own.
    while (!over) await upload(address, name, 1);
    return done;
  });
  return result;
}

t.test('resets of a pod that is not guarded: suspected, by a debug container with our image', { skip }, async (t) => {
  const namespace = await meshNamespace(t, false);
  const name = `store.${namespace}`;
  await runStore(namespace, 'store');
  await untilPassedOn(address, name);
  const debug = ['debug', 'store', '-n', namespace, '--profile=netadmin', `--image=${IMAGE}`, '--container=explain'];
  const answer = await underStrays(name, async () => {
    await kubectl([...debug, '--attach=false', '--', ...EXPLAIN], { limit: LIMIT });
    return eventually('it has answered', async () => {
      const log = await kubectl(['logs', 'store', '-n', namespace, '-c', 'explain']);
      return log.includes('Seen in') && log;
    });
  });
  t.match(answer, /^Was it this\? Suspected\./m);
  t.match(answer, /^ {2}mesh, ipv4 +REDIRECT/m);
  t.comment(answer);
});

t.test('on the node: each reset with its pod, its port and this bug as its cause', { skip }, async (t) => {
  const namespace = await meshNamespace(t, false);
  const name = `store.${namespace}`;
  await runStore(namespace, 'store');
  await untilPassedOn(address, name);
  // As systemd mounts it on every node.
  await onNode('mount', '-t', 'tracefs', 'tracefs', '/sys/kernel/tracing');
  t.teardown(() => onNode('umount', '/sys/kernel/tracing'));
  const [{ metadata }] = (await getJson<{ items: [{ metadata: { name: string } }] }>('nodes')).items;
  const debug = ['debug', `node/${metadata.name}`, '-n', namespace, '--profile=sysadmin', `--image=${IMAGE}`];
  const answer = await underStrays(name, async () => {
    await kubectl([...debug, '--attach=false', '--', ...EXPLAIN, '--node'], { limit: LIMIT });
    return eventually('it has ended', async () => {
      const pods = await getPods(namespace);
      const one = pods.find((pod) => pod.metadata.name.startsWith('node-debugger-'));
      if (!['Succeeded', 'Failed'].includes(one?.status.phase ?? '')) return false;
      return kubectl(['logs', one?.metadata.name ?? '', '-n', namespace]);
    });
  });
  t.comment(answer);
  const line = answer.split('\n').find((one) => one.includes(`${namespace}/store`) && one.includes('THIS BUG'));
  t.match(line, /9000/);
});

t.test('a guarded pod: prevented, by exec in the checker', { skip }, async (t) => {
  const namespace = await meshNamespace(t, true);
  const name = `store.${namespace}`;
  await runStore(namespace, 'store');
  await untilPassedOn(address, name);
  const exec = ['exec', 'store', '-n', namespace, '-c', CHECKER_CONTAINER, '--', ...EXPLAIN];
  const answer = await underStrays(name, () => kubectl(exec, { limit: LIMIT }));
  t.match(answer, /^Was it this\? Prevented\./m);
  t.comment(answer);
});

t.test('a pod that runs is guarded: uploads in flight go on, and resets end', { skip }, async (t) => {
  const namespace = await meshNamespace(t, false);
  const name = `store.${namespace}`;
  const pod = await runStore(namespace, 'store');
  await untilPassedOn(address, name);
  const sender = new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  const before = await withStrays(sender, () => upload(address, name, 2));
  t.strictSame(
    before.result.map(({ ok }) => ok),
    [false, false],
  );
  t.strictSame([...(await sendInvalid(pod)).values()], ['reset', 'reset']);

  const inFlight = upload(address, name, 20);
  const guard = await runCli(['guard', `${namespace}/store`], { limit: LIMIT });
  t.equal(guard.exitCode, 0, `${guard.stdout}${guard.stderr}`);
  t.comment(guard.stdout);
  t.strictSame(
    (await inFlight).filter(({ ok }) => !ok),
    [],
    'uploads in flight',
  );

  const after = await withStrays(sender, () => upload(address, name, 10));
  t.strictSame(
    after.result.filter(({ ok }) => !ok),
    [],
  );
  t.ok(after.strays >= 10, `${after.strays} stray segments`);
  t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped']);
  t.equal(restartsIn(await getPod(namespace, 'store')), 0, 'nothing was restarted');

  await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
  await eventually('coverage counts it as guarded while running', async () => {
    const { reasons } = JSON.parse(await askWebhook(`/coverage?namespace=${namespace}`));
    return reasons['guarded-while-running'] === 1;
  });
});
