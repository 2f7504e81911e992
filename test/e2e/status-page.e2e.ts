// The status page of a real installation, as an operator opens it: with real pods, real drops, and what the replica has collected.
import t, { type Test } from 'tap';
import { apply } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook, forwardWebhook, install } from '../harness/cluster/webhook-installation.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { eventually } from '../harness/wait-until.ts';

/** Milliseconds: a round of questions begins each minute, and a checker counts what was dropped within half a minute. */
const COLLECTED = 180_000;

t.before(() => install());

/** The page of one replica, by kubectl port-forward, until the test ends. */
async function openStatus(t: Test) {
  const { address, stop } = await forwardWebhook();
  t.teardown(stop);
  return async (query = '') => {
    const answer = await fetch(`${address}/${query}`);
    if (answer.status !== 200 || !/^default-src 'none'/.test(answer.headers.get('content-security-policy') ?? ''))
      throw new Error(`${query}: ${answer.status} without its policy`);
    return answer.text();
  };
}

t.test('a guarded pod is on the page by name, and only for who asks from the pod itself', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'seen-by-name'));
  await waitReady(namespace, 'seen-by-name');
  const status = await openStatus(t);
  const listed = await eventually('the pod is listed as guarded', async () => {
    const body = await status(`?namespace=${namespace}`);
    return /seen-by-name<\/th>.*guarded/.test(body) && body;
  });
  t.match(listed, `Pods of namespace ${namespace}`);
  const overview = await status();
  t.match(overview, `/?namespace=${namespace}"`);
  for (const check of ['certificate', 'canary', 'ca-bundle', 'permissions', 'replicas'])
    t.match(overview, new RegExp(`>${check}</th><td class=""><span class="state ok">OK<`), check);
  t.match(overview, /Serving certificate[\s\S]*Valid for/);
  const proxied = await askWebhook(`/?namespace=${namespace}`);
  t.match(proxied, `Pods of namespace ${namespace}`);
  t.notMatch(proxied, 'seen-by-name');
});

t.test('packets that were dropped in a pod are on the page', { skip: skipWithoutNode }, async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'hit'));
  const pod = await waitReady(namespace, 'hit');
  t.teardown(await startShaper());
  t.strictSame(
    [...(await sendInvalid(pod)).values()].filter((result) => result !== 'dropped'),
    [],
  );
  const status = await openStatus(t);
  const row = new RegExp(`>${namespace}</a></th><td class="number">([1-9]\\d*)</td>`);
  const found = await eventually(
    'the drops have been collected',
    async () => row.exec((await status()).split('id="traffic"')[1] ?? '') ?? undefined,
    COLLECTED,
  );
  t.ok(Number(found[1]) > 0, `${found[1]} dropped`);
  const metrics = await askWebhook('/metrics');
  t.match(metrics, /^invalid_drop_collection_questions_total\{asked="checker",result="answered"\} [1-9]/m);
});
