// Many pods at once, and pods that end by themselves.
import t from 'tap';
import { PAUSE_IMAGE } from '../../tools/cluster/cluster-files.ts';
import { apply, applyMany, kubectl } from '../harness/cluster/kubectl.ts';
import {
  clusterNodes,
  DROPS,
  guardedStatus,
  hasGate,
  installNodeMode,
  nodeNamespace,
} from '../harness/cluster/node-agents.ts';
import { podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { appContainer, getPods, isReady, RESTRICTED, restrictedPod } from '../harness/cluster/pod-status.ts';
import { job } from '../harness/cluster/test-workloads.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const PODS = 100;
/** Milliseconds: two cores start each with a sandbox and a container, and the first ones start while the last are created. */
const LIMIT = 360_000;
/** Milliseconds for all of them to be created, or deleted. */
const REQUESTS_LIMIT = 120_000;
/** Rulesets that are read, of the pods made first, last and between. */
const READ_EVERY = 10;

t.before(() => installNodeMode());

/** Starts in a moment and takes no memory. */
const containers = [{ name: 'pause', image: PAUSE_IMAGE, imagePullPolicy: 'Never', securityContext: RESTRICTED }];

t.test(`${PODS} pods that are created at once are all guarded, and Ready`, { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  const names = Array.from({ length: PODS }, (_, i) => `pod-${i}`);
  const started = performance.now();
  await applyMany(
    names.map((name) => restrictedPod(namespace, name, { containers })),
    REQUESTS_LIMIT,
  );
  const created = Math.round(performance.now() - started);
  const pods = await eventually(
    'all are Ready',
    async () => {
      const now = await getPods(namespace);
      const waiting = now.filter((pod) => !isReady(pod));
      if (waiting.length > 0)
        throw new Error(
          `${waiting.length} are not: ${waiting.slice(0, 3).map((pod) => JSON.stringify([pod.metadata.name, pod.status.phase, guardedStatus(pod)]))}`,
        );
      return now;
    },
    LIMIT,
  );
  t.comment(
    `${PODS} pods on ${(await clusterNodes()).length} nodes: created after ${created} ms, Ready after ${Math.round(performance.now() - started)} ms`,
  );
  t.equal(pods.length, PODS);
  t.strictSame(
    pods.filter((pod) => !hasGate(pod) || guardedStatus(pod)?.status !== 'True').map(({ metadata }) => metadata.name),
    [],
  );
  for (const name of names.filter((_, i) => i % READ_EVERY === 0))
    t.match(await podRuleset(namespace, name), DROPS, name);
  await kubectl(['delete', 'pods', '--all', '-n', namespace, '--wait=false', '--grace-period=0', '--force'], {
    limit: REQUESTS_LIMIT,
  });
});

t.test('Jobs complete, with a pod that ends before it can be guarded, and one that is', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  const script = (text: string) => ({ containers: [{ ...appContainer('app', text), securityContext: RESTRICTED }] });
  await apply(job(namespace, 'short', script('')), job(namespace, 'long', script('setTimeout(() => {}, 3000)')));
  for (const name of ['short', 'long'])
    await kubectl(['wait', '--for=condition=Complete', `job/${name}`, '-n', namespace, '--timeout=60s'], {
      limit: 70_000,
    });
  const pods = await getPods(namespace);
  t.strictSame(
    pods.map(({ status }) => status.phase),
    ['Succeeded', 'Succeeded'],
  );
  t.ok(pods.every(hasGate));
});
