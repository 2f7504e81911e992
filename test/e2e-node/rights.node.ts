// What an agent may do, and what it may not: tried with the tokens of real agents, whose names of their nodes the policy
// reads. Runs after the other tests.
import t, { type Test } from 'tap';
import { connectOperator } from '../../lib/cluster/cluster-client.ts';
import { GUARDED_CONDITION, OWN_NAMESPACE } from '../../lib/contract.ts';
import type { JsonObject } from '../../lib/json.ts';
import { askedBy, forbiddenOf, grantsOf, neededFor, type Role } from '../harness/cluster/audit-log.ts';
import { apply, getJson, kubectl, tryKubectl } from '../harness/cluster/kubectl.ts';
import {
  AGENT,
  agentOn,
  agentReport,
  clusterNodes,
  guardedByAgent,
  installNodeMode,
  nodeNamespace,
} from '../harness/cluster/node-agents.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { getPod, restrictedPod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { tokenKubeconfig } from '../harness/cluster/token-kubeconfig.ts';

const skip = skipWithoutNode;
const TRUE = { type: GUARDED_CONDITION, status: 'True', reason: 'Guarded', message: 'tried' };
const POLICY = /ValidatingAdmissionPolicy 'invalid-drop-node-agent' .* denied request: an agent may/;
const NOT_ITS_NODE = /denied request: an agent may write the status of pods of its own node only/;
const RELEASE = '{"metadata":{"finalizers":null}}';

t.before(() => installNodeMode());

/** Somebody who has a token. */
interface Holder {
  kubeconfig: string;
  /** @returns why it was refused; '' where it was not */
  patch(namespace: string, pod: string, patch: JsonObject | JsonObject[]): Promise<string>;
}

async function holderOf(t: Test, ...bound: string[]): Promise<Holder> {
  const token = await kubectl(['create', 'token', AGENT, '-n', OWN_NAMESPACE, ...bound]);
  const kubeconfig = await tokenKubeconfig(t, token);
  const client = connectOperator(kubeconfig, '');
  return {
    kubeconfig,
    async patch(namespace, pod, patch) {
      const path = `/api/v1/namespaces/${namespace}/pods/${pod}/status`;
      try {
        await (Array.isArray(patch) ? client.patch(path, patch) : client.mergePatch(path, patch));
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    },
  };
}

async function agentsToken(t: Test, nodeName: string): Promise<Holder> {
  const { metadata } = await agentOn(nodeName);
  return holderOf(t, '--bound-object-kind=Pod', `--bound-object-name=${metadata.name}`);
}

const withCondition = (condition: JsonObject) => ({ status: { conditions: [condition] } });

/** A namespace that is not opted in, so that the agents themselves write nothing to its pods: one on each node. */
async function podsOnBoth(t: Test): Promise<{ namespace: string; first: string; second: string }> {
  const namespace = await plainNamespace(t);
  const [first = '', second = ''] = (await clusterNodes()).map(({ nodeName }) => nodeName);
  const finalizers = ['e2e.invalid-drop.io/stays'];
  await apply(
    restrictedPod(namespace, 'on-first', { nodeName: first }),
    restrictedPod(namespace, 'on-second', { nodeName: second }),
    restrictedPod(namespace, 'ending', { nodeName: first }, { finalizers }),
  );
  t.teardown(() => kubectl(['patch', 'pod', 'ending', '-n', namespace, '--type=merge', '-p', RELEASE]));
  for (const name of ['on-first', 'on-second', 'ending']) await waitReady(namespace, name);
  return { namespace, first, second };
}

/** Patches of a pod's status, each with what an agent would reach by it. */
const REFUSED: Record<string, JsonObject | JsonObject[]> = {
  'another condition': withCondition({ type: 'Ready', status: 'False' }),
  'a new condition of another name': withCondition({ type: 'e2e.invalid-drop.io/other', status: 'True' }),
  'the end of another condition': withCondition({ type: 'Ready', $patch: 'delete' }),
  'the end of its condition': withCondition({ type: GUARDED_CONDITION, $patch: 'delete' }),
  'its condition as the only one': { status: { conditions: [TRUE, { $patch: 'replace' }] } },
  'its condition, and a phase': { status: { ...withCondition(TRUE).status, phase: 'Failed' } },
  addresses: [
    { op: 'replace', path: '/status/podIP', value: '10.244.9.9' },
    { op: 'replace', path: '/status/podIPs', value: [{ ip: '10.244.9.9' }] },
  ],
  'a host address': [
    { op: 'replace', path: '/status/hostIP', value: '10.244.9.9' },
    { op: 'replace', path: '/status/hostIPs', value: [{ ip: '10.244.9.9' }] },
  ],
  'no state of containers': { status: { containerStatuses: null } },
  'a reason': { status: { reason: 'Evicted' } },
  'a nominated node': { status: { nominatedNodeName: 'other' } },
  'a label': { metadata: { labels: { tried: 'yes' } } },
  'an annotation': { metadata: { annotations: { 'invalid-drop.io/inject': 'disabled' } } },
  'a finalizer': { metadata: { finalizers: ['e2e.invalid-drop.io/tried'] } },
  'a phase, as a JSON patch': [{ op: 'replace', path: '/status/phase', value: 'Failed' }],
};

t.test('an agent writes its condition of the pods of its node, and nothing else', { skip }, async (t) => {
  const { namespace, first, second } = await podsOnBoth(t);
  const [agent, other] = [await agentsToken(t, first), await agentsToken(t, second)];
  const anyone = await holderOf(t);

  for (const status of ['True', 'False', 'Unknown'])
    t.equal(await agent.patch(namespace, 'on-first', withCondition({ ...TRUE, status })), '', status);
  const before = await getPod(namespace, 'on-first');
  for (const [what, patch] of Object.entries(REFUSED))
    t.match(await agent.patch(namespace, 'on-first', patch), POLICY, what);
  const { metadata, status } = await getPod(namespace, 'on-first');
  t.strictSame({ metadata, status }, { metadata: before.metadata, status: before.status }, 'nothing has changed');

  t.equal(await other.patch(namespace, 'on-second', withCondition(TRUE)), '', 'the other agent writes to its own pod');
  for (const [who, holder, pod] of [
    ['the other agent', other, 'on-first'],
    ['the first agent', agent, 'on-second'],
    ['a token that no pod has', anyone, 'on-first'],
    ['a token that no pod has', anyone, 'on-second'],
  ] as const)
    t.match(await holder.patch(namespace, pod, withCondition(TRUE)), NOT_ITS_NODE, `${who}, ${pod}`);

  await kubectl(['delete', 'pod', 'ending', '-n', namespace, '--wait=false']);
  t.equal(await agent.patch(namespace, 'ending', withCondition(TRUE)), '', 'a pod that is being deleted');
});

t.test('RBAC allows nothing else', { skip }, async (t) => {
  const { namespace, first } = await podsOnBoth(t);
  const { kubeconfig } = await agentsToken(t, first);
  const as = (...args: string[]) => tryKubectl(['--kubeconfig', kubeconfig, ...args]);
  for (const place of [namespace, OWN_NAMESPACE]) {
    const { stdout } = await as('auth', 'can-i', '--list', '--no-headers', '-n', place);
    // Everybody may ask what he may, and read the API's own description.
    const rights = stdout.split('\n').filter((line) => line !== '' && !/^selfsubject|^ +\[/.test(line));
    t.strictSame(
      rights.map((line) => line.replace(/ +(\[\] +)*/g, ' ')).sort(),
      ['namespaces [list watch]', 'pods [list watch]', 'pods/status [patch]'],
      `in ${place}`,
    );
  }
  const path = `/api/v1/namespaces/${namespace}/pods/on-first`;
  t.match((await as('delete', '--raw', path)).stderr, /forbidden/i);
  t.equal((await getPod(namespace, 'on-first')).metadata['deletionTimestamp'], undefined);
});

t.test('each agent asks for the pods of its own node, and reports those only', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  const nodes = (await clusterNodes()).map(({ nodeName }) => nodeName);
  for (const [i, nodeName] of nodes.entries()) await apply(restrictedPod(namespace, `on-${i}`, { nodeName }));
  for (const [i, nodeName] of nodes.entries()) {
    await guardedByAgent(namespace, `on-${i}`);
    const report = await agentReport(nodeName);
    const seen = (report.pods ?? []).filter((one) => one.namespace === namespace).map(({ pod }) => pod);
    t.strictSame(seen, [`on-${i}`], nodeName);
  }
  const asked = await askedBy(AGENT);
  const listed = asked.filter(
    ({ verb, objectRef }) => ['list', 'watch'].includes(verb) && objectRef?.resource === 'pods',
  );
  t.ok(listed.length > 0);
  for (const { requestURI, user } of listed) {
    const [nodeName] = user.extra?.['authentication.kubernetes.io/node-name'] ?? [];
    const selector = new URL(requestURI, 'http://a').searchParams.get('fieldSelector');
    if (selector !== `spec.nodeName=${nodeName}`) t.fail(`the agent of ${nodeName} asked for ${requestURI}`);
  }
});

t.test('it uses each of its permissions, and asks for no more', { skip }, async (t) => {
  // These tests use kubectl with the tokens of agents.
  const asked = (await askedBy(AGENT)).filter(({ userAgent }) => !userAgent?.startsWith('kubectl'));
  const used = new Set(asked.map(neededFor));
  const granted = grantsOf(await getJson<Role>('clusterrole', AGENT));
  t.strictSame(
    granted.filter((grant) => !used.has(grant)),
    [],
    'unused',
  );
  t.strictSame(forbiddenOf(asked), []);
});
