// What a segment half a window over the window does behind a node with a rule against INVALID packets. Linux 6.0 and later tolerate
// it; conntrack of the node then calls each later segment INVALID, and the rule drops them before they reach the pod.
import { fileURLToPath } from 'node:url';
import { fateOfChanged, NEAR_OVER, talkTo } from '../harness/netns/kept-client.ts';
import { isAtLeast } from '../harness/netns/kernel-requirements.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { startMesh } from '../harness/netns/redirected-upload.ts';
import { install, startChecker } from '../harness/netns/shipped-programs.ts';
import type { ConnectionFate } from '../harness/netns/stray-kinds.ts';
import { withSoftwareChecksums } from '../harness/netns/stray-segments.ts';
import { addNode, setNodeRules } from '../harness/networks/node-network.ts';
import { type NodeRulesName, nodeRules } from '../harness/networks/node-rules.ts';

interface NearCase {
  rules: NodeRulesName;
  /** be_liberal of the node. */
  liberal?: true;
  pod: 'bare' | 'liberal' | 'guarded';
  fate: ConnectionFate;
}

const NEAR_CASES: NearCase[] = [
  { rules: 'none', pod: 'bare', fate: 'reset' },
  { rules: 'kubeProxy', pod: 'bare', fate: 'stuck' },
  { rules: 'calicoIptables', pod: 'bare', fate: 'stuck' },
  { rules: 'kubeRouter', pod: 'bare', fate: 'stuck' },
  { rules: 'kubeProxy', pod: 'liberal', fate: 'stuck' },
  { rules: 'kubeProxy', liberal: true, pod: 'liberal', fate: 'fine' },
  { rules: 'kubeProxy', pod: 'guarded', fate: 'stuck' },
  { rules: 'kubeProxy', liberal: true, pod: 'guarded', fate: 'fine' },
  { rules: 'calicoIptables', liberal: true, pod: 'guarded', fate: 'fine' },
  { rules: 'kubeRouter', liberal: true, pod: 'guarded', fate: 'fine' },
  { rules: 'none', pod: 'guarded', fate: 'fine' },
];

const KEEP = fileURLToPath(new URL('../harness/traffic/kept-connection.ts', import.meta.url));
/** Milliseconds: many times what TCP waits before it sends again, and time for a rescue. */
const STUCK = patient(4000);
const STUCK_GUARDED = patient(10_000);

kernelTest('a rule of the node hangs connections whose segments go a little astray', async (t, pair) => {
  const network = await addNode(pair);
  t.teardown(() => network.remove());
  const { pod, gateway } = pair;
  await startMesh(pair, 'nft');
  await withSoftwareChecksums(gateway);
  const ask = talkTo(gateway.start(process.execPath, [KEEP, ADDRESS.pod.ipv4]));
  let guarded = false;
  for (const { rules, liberal, pod: state, fate } of NEAR_CASES) {
    const one = nodeRules(network.podAddress)[rules];
    await setNodeRules(network.node, one, liberal === true);
    await pod.must('sysctl', ['-q', '-w', `net.netfilter.nf_conntrack_tcp_be_liberal=${state === 'liberal' ? 1 : 0}`]);
    if (state === 'guarded' && !guarded) {
      t.equal((await install(pod)).exitCode, 0);
      await startChecker(pod);
      guarded = true;
    }
    const seen = await fateOfChanged(gateway, ask, NEAR_OVER, state === 'guarded' ? STUCK_GUARDED : STUCK);
    const where = `${one.name}${liberal ? ', node liberal' : ''}, pod ${state}`;
    // Older kernels call the segment itself INVALID, so that a rule of the node drops it, and TCP sends it again.
    t.equal(seen, isAtLeast(6, 1) ? fate : rules === 'none' && state === 'bare' ? 'reset' : 'fine', where);
    t.comment(`observed near\t${where}\t${seen}`);
  }
});
