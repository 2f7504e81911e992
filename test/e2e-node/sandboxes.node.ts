// Network namespaces that come, go and change: what an agent does with each, and what it leaves alone.
import { readFile, readlink, writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import type { Layout } from '../../tools/cluster/cluster-layout.ts';
import { pidsOfPod } from '../../tools/cluster/cluster-node.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import {
  clusterNodes,
  DROPS,
  guardedByAgent,
  guardedStatus,
  hasGate,
  installNodeMode,
  isUntouched,
  lifeOf,
  nodeNamespace,
  PLACED_ON_NODE,
} from '../harness/cluster/node-agents.ts';
import {
  inPod,
  killProcess,
  node,
  nodeRules,
  onNodeOf,
  podRuleset,
  restart,
  skipWithoutNode,
} from '../harness/cluster/node-side.ts';
import { barePod, getPod, isReady, type Pod, restrictedPod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { must } from '../harness/netns/processes.ts';
import { eventually } from '../harness/wait-until.ts';

const skip = skipWithoutNode;
const LIBERAL = 'net.netfilter.nf_conntrack_tcp_be_liberal';
let rulesBefore: string[][] = [];

const rulesOfNodes = async () => Promise.all((await clusterNodes()).map((one) => nodeRules(one)));

t.before(async () => {
  if (!skip) rulesBefore = await rulesOfNodes();
  await installNodeMode();
});

/** The first of our rules is removed, our table, all tables; or a rule before ours lets every packet pass. */
const DRIFT: Record<string, string[]> = {
  'the rule is deleted': ['iptables-nft', '-t', 'mangle', '-D', 'PREROUTING', '1'],
  'the IPv6 rule is deleted': ['ip6tables-nft', '-t', 'mangle', '-D', 'PREROUTING', '1'],
  'the chain is flushed': ['iptables-nft', '-t', 'mangle', '-F'],
  'the exemption is deleted': ['nft', 'delete', 'table', 'inet', 'invalid-drop'],
  'all is flushed': ['nft', 'flush', 'ruleset'],
  'a rule before it accepts': ['iptables-nft', '-t', 'mangle', '-I', 'PREROUTING', '-j', 'ACCEPT'],
  // No event tells of it: the next check does, which the table causes here.
  'conntrack is set back': ['sh', '-c', `sysctl -q -w ${LIBERAL}=0 && nft add table inet e2e`],
};

/** Whether all that the agent puts into a pod is there, the rule before all others. */
function isWhole(ruleset: string, liberal: string): boolean {
  const firsts = [...ruleset.matchAll(/^table ip6? mangle \{[^}]*?chain PREROUTING \{\n[^\n]*\n([^\n]*)/gm)];
  const first = firsts.filter(([, rule = '']) => DROPS.test(rule)).length === 2;
  return first && ruleset.includes('table inet invalid-drop') && liberal.trim() === '1';
}

/** Changes what is in a pod's network in each way, and waits for the repair. */
async function repairsAll(t: Test, namespace: string, name: string): Promise<void> {
  const whole = async () =>
    isWhole(await podRuleset(namespace, name), await inPod(namespace, name, 'sysctl', '-n', LIBERAL));
  t.ok(await whole(), 'as it is found below');
  for (const [what, [program = '', ...args]] of Object.entries(DRIFT)) {
    await inPod(namespace, name, program, ...args);
    await t.resolves(eventually(`${what}: it is repaired`, whole, 30_000), what);
  }
}

t.test('each kind of drift is repaired, and the pod is Ready again', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'drift'));
  const before = await guardedByAgent(namespace, 'drift');
  await repairsAll(t, namespace, 'drift');
  t.strictSame(lifeOf(await guardedByAgent(namespace, 'drift')), lifeOf(before));
});

t.test('on-drift=report: the pod is not Ready, and the agent leaves the rules as they are', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'report', {}, { annotations: { 'invalid-drop.io/on-drift': 'report' } }));
  await guardedByAgent(namespace, 'report');
  await inPod(namespace, 'report', 'nft', 'flush', 'ruleset');
  const pod = await eventually('it is not Ready', async () => {
    const now = await getPod(namespace, 'report');
    return !isReady(now) && now;
  });
  t.match(guardedStatus(pod), { status: 'False', reason: 'NotGuarded', message: /\w/ });
  t.notMatch(await podRuleset(namespace, 'report'), DROPS);
});

t.test('a pod that gets a new network namespace is guarded again', { skip }, async (t) => {
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'anew'));
  const before = await guardedByAgent(namespace, 'anew');
  await killProcess(before, '/pause');
  await eventually('it has another address', async () => {
    const { status } = await getPod(namespace, 'anew');
    return status.podIP !== undefined && status.podIP !== before.status.podIP;
  });
  await eventually('there is a rule', async () => DROPS.test(await podRuleset(namespace, 'anew')));
  await guardedByAgent(namespace, 'anew');
});

t.test("an address that another pod had a moment ago: each pod's network is told apart", { skip }, async (t) => {
  const [, second] = await clusterNodes();
  if (!second) return t.comment('needs a second node');
  const nodeName = second.nodeName;
  const [opted, plain] = [await nodeNamespace(t), await plainNamespace(t)];
  const make = async (namespace: string, name: string, address?: string): Promise<Pod> => {
    if (address) await makeNext(second, address);
    await apply(restrictedPod(namespace, name, { nodeName }));
    return namespace === opted ? guardedByAgent(namespace, name) : waitReady(namespace, name);
  };
  const end = (namespace: string, name: string) =>
    kubectl(['delete', 'pod', name, '-n', namespace, '--grace-period=0', '--force']);
  const first = await make(opted, 'first');
  const address = first.status.podIP ?? '';
  await end(opted, 'first');
  t.equal(
    (await make(plain, 'stranger', address)).status.podIP,
    address,
    'a pod that is not opted in gets the address',
  );
  t.ok(await isUntouched(plain, 'stranger'), 'and is left alone');
  await end(plain, 'stranger');
  t.equal((await make(opted, 'next', address)).status.podIP, address, 'and so does one that is');
  await end(opted, 'next');
  t.equal((await make(opted, 'last', address)).status.podIP, address, 'and one after it');
});

/** Lets the node's next pod have an address: the plugin host-local begins its search behind the last one. */
async function makeNext({ node }: Layout, address: string): Promise<void> {
  const folder = `${node['/var/lib']}/cni/networks/cluster`;
  const before = address.replace(/\d+$/, (last) => `${Number(last) - 1}`);
  await eventually(
    `${address} is free`,
    async () => (await readFile(`${folder}/${address}`).catch(() => null)) === null,
  );
  await writeFile(`${folder}/last_reserved_ip.0`, before);
}

t.test(
  'containerd and the kubelet are killed and come back: pods stay guarded, and new ones are',
  { skip },
  async (t) => {
    const namespace = await nodeNamespace(t);
    const last = (await clusterNodes()).at(-1);
    const nodeName = last?.nodeName;
    await apply(restrictedPod(namespace, 'before', { nodeName }));
    const before = await guardedByAgent(namespace, 'before');
    for (const component of ['containerd', 'kubelet'] as const) await restart(component, last);
    await apply(restrictedPod(namespace, 'after', { nodeName }));
    await guardedByAgent(namespace, 'after');
    t.strictSame(lifeOf(await guardedByAgent(namespace, 'before')), lifeOf(before));
  },
);

/** A node whose runtime can give a pod a user namespace: containerd can from 2.0 on. */
async function nodeWithUserNamespaces(): Promise<string | undefined> {
  const { items } = await getJson<{ items: RuntimeNode[] }>('nodes');
  return items.find(({ status }) => status.runtimeHandlers?.some(({ features }) => features?.userNamespaces))?.metadata
    .name;
}

interface RuntimeNode {
  metadata: { name: string };
  status: { runtimeHandlers?: { features?: { userNamespaces?: boolean } }[] };
}

t.test('a pod in a user namespace of its own is guarded', { skip }, async (t) => {
  const nodeName = await nodeWithUserNamespaces();
  if (!nodeName) {
    t.pass('not here: the container runtime knows no user namespaces');
    return;
  }
  const namespace = await nodeNamespace(t);
  await apply(restrictedPod(namespace, 'user', { hostUsers: false, nodeName }));
  const before = await guardedByAgent(namespace, 'user');
  const [pid] = await pidsOfPod(node(), namespace, 'user');
  const owner = await must('lsns', ['--task', `${pid}`, '--type', 'net', '--noheadings', '--output', 'ONS']);
  const [own, pods] = [await readlink('/proc/self/ns/user'), await readlink(`/proc/${pid}/ns/user`)];
  t.not(pods, own, 'it is in another user namespace than the agent');
  t.equal(`user:[${owner.trim()}]`, pods, 'which owns its network');
  await repairsAll(t, namespace, 'user');
  t.strictSame(lifeOf(await guardedByAgent(namespace, 'user')), lifeOf(before));
});

t.test("a pod on the host network is not touched, and neither are the nodes' own rules", { skip }, async (t) => {
  const namespace = await plainNamespace(t, PLACED_ON_NODE);
  for (const [i, { nodeName }] of (await clusterNodes()).entries()) {
    const name = `host-${i}`;
    await apply(barePod(namespace, name, { hostNetwork: true, nodeName }));
    const pod = await waitReady(namespace, name);
    t.notOk(hasGate(pod));
    t.equal(guardedStatus(pod), undefined);
  }
  t.strictSame(await rulesOfNodes(), rulesBefore, 'after all the pods of this file');
  for (const one of await clusterNodes()) {
    t.equal((await onNodeOf(one, 'sysctl', '-n', LIBERAL)).trim(), '0', one.nodeName);
    t.notMatch(await onNodeOf(one, 'nft', 'list', 'ruleset'), /inet invalid-drop|ct state invalid/, one.nodeName);
  }
});
