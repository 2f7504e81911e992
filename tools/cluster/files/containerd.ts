// Configuration of containerd and of the pod network.
import { type Layout, NETWORK } from '../layout.ts';

export const PAUSE_IMAGE = 'localhost/invalid-drop-cluster/pause:1';

/** containerd's own places are its defaults: the node has a /run and a /var/lib of its own. */
export function containerdConfiguration(layout: Layout): string {
  return `version = 2
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${layout.cni.bin}"
  conf_dir = "${layout.cni.conf}"
`;
}

/** Bridge with a route and an address of both families for each pod. */
export function cniConfiguration(): string {
  const families = ['ipv4', 'ipv6'] as const;
  return JSON.stringify({
    cniVersion: '1.0.0',
    name: 'cluster',
    plugins: [
      {
        type: 'bridge',
        bridge: NETWORK.bridge,
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: families.map((family) => [{ subnet: NETWORK.pods[family], gateway: NETWORK.node[family] }]),
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
}
