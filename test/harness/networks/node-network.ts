// A node between two pods: a network namespace that forwards, with an interface for each pod as Calico makes them (a route to one
// address, no bridge).
import { ADDRESS, NetworkNamespace, type Pair } from '../netns/network-namespaces.ts';
import { type NodeRules, PORTS } from './node-rules.ts';

/** The node's own address, which its own processes send from. */
const NODE_ADDRESS = '10.77.1.1';
/** No interface has it: the pods know its link-layer address, which each of the node's ends has. */
const NEXT_HOP = '169.254.1.1';
const LINK = 'ee:ee:ee:ee:ee:ee';

export interface NodeNetwork {
  node: NetworkNamespace;
  podAddress: string;
  remove(): Promise<void>;
}

/** Puts a node between the two of a pair, which keep their IPv4 addresses. */
export async function addNode({ pod, gateway }: Pair): Promise<NodeNetwork> {
  const node = await new NetworkNamespace('node').add();
  const ip = (where: NetworkNamespace, lines: string[]) =>
    where.must('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
  await ip(pod, ['link del eth0']);
  await ip(node, [`addr add ${NODE_ADDRESS}/32 dev lo`]);
  for (const [namespace, port, address] of [
    [pod, PORTS.pod, ADDRESS.pod.ipv4],
    [gateway, PORTS.sender, ADDRESS.gateway.ipv4],
  ] as const) {
    await ip(node, [
      `link add ${port} address ${LINK} type veth peer name eth0 netns ${namespace.name}`,
      `link set ${port} up`,
    ]);
    await ip(namespace, [
      `addr add ${address}/32 dev eth0`,
      'link set eth0 up',
      `route add ${NEXT_HOP} dev eth0 scope link`,
      `neigh add ${NEXT_HOP} lladdr ${LINK} dev eth0 nud permanent`,
      `route add default via ${NEXT_HOP} dev eth0`,
    ]);
    await ip(node, [`route add ${address} dev ${port} src ${NODE_ADDRESS}`]);
  }
  await node.must('sysctl', ['-q', '-w', 'net.ipv4.ip_forward=1']);
  return { node, podAddress: ADDRESS.pod.ipv4, remove: () => node.remove() };
}

/** Replaces the node's rules. conntrack is in use in any case, as on a node with Services. @param liberal be_liberal of the node */
export async function setNodeRules(
  node: NetworkNamespace,
  { iptables, nft }: NodeRules,
  liberal: boolean,
): Promise<void> {
  await node.must('nft', ['flush', 'ruleset']);
  await node.must('nft', ['-f', '-'], {
    input: 'table ip tracked {\n  chain in {\n    type filter hook prerouting priority 0;\n    ct state new\n  }\n}\n',
  });
  if (iptables !== undefined) await node.must('iptables-nft-restore', ['--noflush'], { input: iptables });
  if (nft !== undefined) await node.must('nft', ['-f', '-'], { input: nft });
  await node.must('sysctl', ['-q', '-w', `net.netfilter.nf_conntrack_tcp_be_liberal=${liberal ? 1 : 0}`]);
}
