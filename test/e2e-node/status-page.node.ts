// The status page of an installation with node agents: what they have counted in the pods of both nodes, and who sent the stray
// segments. The cluster enforces no NetworkPolicy: that the policies allow these questions is read from them in test/manifests.
import t from 'tap';
import { apply } from '../harness/cluster/kubectl.ts';
import { guardedByAgent, installNodeMode, nodeNamespace, otherNode } from '../harness/cluster/node-agents.ts';
import { PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { restrictedPod } from '../harness/cluster/pod-status.ts';
import { redirectedPod, uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { askWebhook, forwardWebhook } from '../harness/cluster/webhook-installation.ts';
import { startStrays } from '../harness/netns/stray-segments.ts';
import { eventually } from '../harness/wait-until.ts';

const MB = 1_000_000;
/** Of so many segments one is stray. */
const EVERY = 20;
/** Milliseconds: a round of questions begins each minute, and an agent counts what was dropped within half a minute. */
const COLLECTED = 180_000;

t.before(() => installNodeMode());

t.test('drops and peers that node agents tell of are on the page', { skip: skipWithoutNode }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'sender', { nodeName: await otherNode() }));
  // Where conntrack is liberal, few segments are INVALID, and the agent rescues none.
  const annotations = { 'invalid-drop.io/be-liberal': 'disabled' };
  const store = await redirectedPod(namespace, 'store', {}, { annotations });
  const sender = await guardedByAgent(namespace, 'sender');
  await guardedByAgent(namespace, 'store');
  const programs = new PodPrograms(namespace, 'sender');
  await startStrays(programs, EVERY);
  for (const { ok, error } of await uploadFrom(programs, store.status.podIP ?? '', 30 * MB, 5))
    t.equal(ok, true, error ?? 'passes');

  const { address, stop } = await forwardWebhook();
  t.teardown(stop);
  const parts = async () => {
    const body = await (await fetch(`${address}/`)).text();
    const [, traffic = '', peers = ''] =
      /id="traffic"([\s\S]*?)<\/section>(?:[\s\S]*id="peers"([\s\S]*?)<\/section>)?/.exec(body) ?? [];
    return { traffic, peers };
  };
  const row = new RegExp(`>${namespace}</a></th><td class="number">([1-9][\\d,]*)</td>`);
  const peer = `<code>${sender.status.podIP}</code>`;
  const { traffic, peers } = await eventually(
    'what the agents have counted has been collected',
    async () => {
      const now = await parts();
      return row.test(now.traffic) && now.peers.includes(peer) && now;
    },
    COLLECTED,
  );
  t.comment(`${row.exec(traffic)?.[1]} packets dropped`);
  t.match(peers, `${namespace}/store`);
  const asked = await eventually(
    'a whole round has asked both agents',
    async () => /Node agents: 2 asked, all answered; [^<]*/.exec((await parts()).traffic)?.[0],
    COLLECTED,
  );
  t.comment(asked);
  // By the API server, as anybody in the network. Either replica answers, and each asks the agents itself.
  const others = await eventually(
    'numbers by namespace are for everybody',
    async () => {
      const page = await askWebhook('/');
      return row.test(page) && page;
    },
    COLLECTED,
  );
  t.notMatch(others, peer);
  const answered = /^invalid_drop_collection_questions_total\{asked="agent",result="answered"\} [1-9]/m;
  await eventually('answers are counted', async () => answered.test(await askWebhook('/metrics')), COLLECTED);
});
