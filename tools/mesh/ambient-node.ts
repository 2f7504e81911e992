// What Istio's ambient mode needs of a node that is only a network and a mount namespace.
import { mkdir } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import type { Layout } from '../cluster/cluster-layout.ts';
import { enterNode } from '../cluster/cluster-node.ts';
import { livingPid } from '../cluster/cluster-processes.ts';

/** Directory of the node that istio-cni has as the node's /proc. */
export const nodeProc = (layout: Layout): string => `${layout.state}/node-proc`;

/**
 * Mounts it: istio-cni takes the network namespace of process 1 for the node's (cni/pkg/nodeagent/podcgroupns_linux.go). On
 * this machine that is another, and may not even be read. The process that holds the node's namespaces stands in its place.
 */
export async function mountNodeProc(layout: Layout): Promise<void> {
  const place = nodeProc(layout);
  await mkdir(place, { recursive: true });
  const holder = await livingPid(`${layout.pids}/node${layout.suffix}`);
  const script = `mountpoint -q ${place} || { mount -t proc proc ${place} && mount --bind /proc/${holder} ${place}/1; }`;
  const [program = '', ...args] = await enterNode(layout, ['sh', '-c', script]);
  await must(program, args);
}
