// Who is exposed: the same upload on nodes that differ in what kube-proxy does with INVALID packets.
import t from 'tap';
import type { Settings } from '../../tools/cluster/cluster-settings.ts';
import { reconfigureKubeProxy } from '../../tools/cluster/kube-proxy.ts';
import { ISTIO_NAMESPACE } from '../../tools/mesh/istio-installation.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import { node, onNode, PodPrograms, skipWithoutNode } from '../harness/cluster/node-side.ts';
import type { Pod } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { gatewayPod, untilPassedOn, upload, withStrays } from '../harness/mesh/gateway-uploads.ts';
import { meshNamespace, runStore } from '../harness/mesh/object-store.ts';
import { must } from '../harness/netns/processes.ts';
import type { ProgramRunner } from '../harness/netns/stray-segments.ts';

const UPLOADS = 4;
const NFTABLES = { kubeProxyMode: 'nftables', beLiberal: false } as const;

interface Case {
  node: string;
  from: 'gateway' | 'host';
  kubeProxy: Pick<Settings, 'kubeProxyMode' | 'beLiberal'>;
  /** Of a pod that is not guarded. */
  reset: boolean;
}

/** As seen on a real node. Only kube-proxy's rule in FORWARD hides the bug, and only where packets are forwarded. */
const CASES: Case[] = [
  { node: 'kube-proxy nftables', from: 'gateway', kubeProxy: NFTABLES, reset: true },
  {
    node: 'kube-proxy iptables',
    from: 'gateway',
    kubeProxy: { kubeProxyMode: 'iptables', beLiberal: false },
    reset: false,
  },
  {
    node: 'kube-proxy iptables',
    from: 'host',
    kubeProxy: { kubeProxyMode: 'iptables', beLiberal: false },
    reset: true,
  },
  {
    node: 'kube-proxy iptables, conntrack-tcp-be-liberal',
    from: 'gateway',
    kubeProxy: { kubeProxyMode: 'iptables', beLiberal: true },
    reset: true,
  },
];

let gateway: Pod;
const stores: Record<'bare' | 'guarded', { name: string; address: string }> = {
  bare: { name: '', address: '' },
  guarded: { name: '', address: '' },
};
/** This process is in the node's network, as a pod with hostNetwork is. */
const host: ProgramRunner = { must: (command, args = [], options) => must(command, args, options) };

t.before(async () => {
  await install();
  gateway = await gatewayPod();
  for (const kind of ['bare', 'guarded'] as const) {
    const namespace = await meshNamespace(t, kind === 'guarded');
    // A sender on the host has no certificate of the mesh.
    await apply({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'host', namespace },
      spec: { mtls: { mode: 'PERMISSIVE' } },
    });
    const pod = await runStore(namespace, 'store');
    stores[kind] = { name: `store.${namespace}`, address: pod.status.podIP ?? '' };
  }
});

async function failedUploads({ from }: Case, kind: 'bare' | 'guarded'): Promise<{ failed: number; strays: number }> {
  const { name, address } = stores[kind];
  const sender = from === 'host' ? host : new PodPrograms(ISTIO_NAMESPACE, gateway.metadata.name);
  const target = from === 'host' ? address : (gateway.status.podIP ?? '');
  await untilPassedOn(target, name);
  const { result, strays } = await withStrays(sender, () => upload(target, name, UPLOADS));
  return { failed: result.filter(({ ok }) => !ok).length, strays };
}

t.test('who is exposed', { skip: skipWithoutNode }, async (t) => {
  t.teardown(() => reconfigureKubeProxy(node(), NFTABLES));
  for (const one of CASES) {
    await t.test(
      `${one.node}, from ${one.from}: ${one.reset ? 'reset' : 'not reset'}, and not reset once guarded`,
      async (t) => {
        await reconfigureKubeProxy(node(), one.kubeProxy);
        const bare = await failedUploads(one, 'bare');
        t.ok(bare.strays >= UPLOADS, `${bare.strays} stray segments`);
        t.equal(bare.failed, one.reset ? UPLOADS : 0, 'of the pod that is not guarded');
        const guarded = await failedUploads(one, 'guarded');
        t.ok(guarded.strays >= UPLOADS, `${guarded.strays} stray segments`);
        t.equal(guarded.failed, 0, 'of the guarded pod');
        t.comment(`${one.node}\t${one.from}\t${bare.failed} of ${UPLOADS} reset\tguarded: ${guarded.failed}`);
      },
    );
  }
  t.match(await onNode('sysctl', '-n', 'net.netfilter.nf_conntrack_tcp_be_liberal'), /^1/, 'the last case was real');
});
