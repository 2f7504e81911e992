// Whether stray segments reach a pod, by the rules that its network has on the node and by where they come from.
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { Pair } from '../harness/netns/network-namespaces.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { countStrays, startStrays, stopStrays } from '../harness/netns/stray-segments.ts';
import { addNode, type NodeNetwork, setNodeRules } from '../harness/networks/node-network.ts';
import { type NodeRulesName, nodeRules } from '../harness/networks/node-rules.ts';

const EVERY = 20;
const UPLOADS = 2;

/** pod: another pod's, which the node forwards. host: of a process in the node's own network. */
type Sender = 'pod' | 'host';

interface Case {
  rules: NodeRulesName;
  from: Sender;
  /** be_liberal of the node. The pod's own stays 0. */
  liberal?: true;
  reset: boolean;
}

const CASES: Case[] = [
  { rules: 'none', from: 'pod', reset: true },
  { rules: 'kubeProxy', from: 'pod', reset: false },
  { rules: 'kubeProxy', from: 'pod', liberal: true, reset: true },
  { rules: 'kubeProxy', from: 'host', reset: true },
  { rules: 'flannel', from: 'pod', reset: false },
  { rules: 'calicoIptables', from: 'pod', reset: false },
  { rules: 'calicoIptables', from: 'pod', liberal: true, reset: true },
  { rules: 'calicoIptables', from: 'host', reset: true },
  { rules: 'calicoNft', from: 'pod', reset: false },
  { rules: 'calicoNft', from: 'pod', liberal: true, reset: true },
  { rules: 'calicoNft', from: 'host', reset: true },
  { rules: 'calicoUnchecked', from: 'pod', reset: true },
  { rules: 'kubeRouter', from: 'pod', reset: false },
  { rules: 'kubeRouter', from: 'pod', liberal: true, reset: true },
  { rules: 'kubeRouter', from: 'host', reset: false },
  { rules: 'ciliumFirst', from: 'pod', reset: true },
  { rules: 'ciliumSecond', from: 'pod', reset: false },
  { rules: 'antrea', from: 'pod', reset: false },
  { rules: 'antrea', from: 'host', reset: false },
  { rules: 'antrea', from: 'pod', liberal: true, reset: true },
  { rules: 'antrea', from: 'host', liberal: true, reset: true },
];

/** Packets that were INVALID in the pod so far, whatever became of them. */
async function invalidInPod({ pod }: Pair): Promise<number> {
  const lines = (await pod.must('cat', ['/proc/net/stat/nf_conntrack'])).trim().split('\n').slice(1);
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(/\s+/)[4] ?? '0', 16), 0);
}

async function observe(pair: Pair, { node, podAddress }: NodeNetwork, { rules, from, liberal = undefined }: Case) {
  await setNodeRules(node, nodeRules(podAddress)[rules], liberal === true);
  const sender = from === 'host' ? node : pair.gateway;
  const before = await invalidInPod(pair);
  // A segment of the node itself is changed before its conntrack sees it, as that of another pod is.
  await startStrays(sender, EVERY, from === 'host' ? { hook: 'output priority -300' } : {});
  const uploads = await upload({ ...pair, gateway: sender }, 'ipv4', UPLOAD, UPLOADS);
  const strays = await countStrays(sender);
  await stopStrays(sender);
  const errors = uploads.flatMap(({ error }) => (error === undefined ? [] : [error]));
  return { errors, strays, invalid: (await invalidInPod(pair)) - before };
}

kernelTest('which networks of the node hide stray segments from pods', async (t, pair) => {
  const network = await addNode(pair);
  t.teardown(() => network.remove());
  await startMesh(pair, 'nft');
  for (const one of CASES) {
    const { name, source } = nodeRules(network.podAddress)[one.rules];
    const { errors, strays, invalid } = await observe(pair, network, one);
    const where = `${name}${one.liberal ? ', node liberal' : ''}, from a ${one.from === 'pod' ? 'pod' : 'process of the node'}`;
    t.ok(strays >= UPLOADS, `${where}: ${strays} stray segments`);
    t.equal(errors.length, one.reset ? UPLOADS : 0, `${where}: ${errors.join(', ')}`);
    for (const error of errors) t.match(error, /ECONNRESET|EPIPE/, where);
    t.equal(invalid > 0, one.reset, `${where}: ${invalid} INVALID in the pod`);
    // For the table in docs/networks.md.
    t.comment(
      `observed\t${where}\t${strays} stray\t${invalid} INVALID in the pod\t${errors.length} of ${UPLOADS} reset\t${source}`,
    );
  }
});
