// Configuration of the kubelet.
import { type Layout, NETWORK } from '../layout.ts';

export function kubeletConfiguration(layout: Layout): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${layout.pki}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${layout.pki}/kubelet-serving.crt`,
    tlsPrivateKeyFile: `${layout.pki}/kubelet-serving.key`,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    clusterDomain: 'cluster.local',
    clusterDNS: [NETWORK.node.ipv4],
    resolvConf: `${layout.files}/resolv.conf`,
    staticPodPath: `${layout.files}/static-pods`,
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${layout.cgroup}`,
    enforceNodeAllocatable: [],
    // Where a limit cannot be raised or an OOM score lowered, as in a container, it goes on without.
    featureGates: { KubeletInUserNamespace: true },
    failSwapOn: false,
    oomScoreAdj: 0,
    // The machine is shared, and its disk is none of the cluster's business.
    evictionHard: {
      'memory.available': '0%',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
      'nodefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    maxPods: 200,
    // Set by hand in the node's own view of /proc/sys (node.ts), so that the machine's settings stay as they are.
    protectKernelDefaults: true,
    shutdownGracePeriod: '0s',
    registerNode: true,
  });
}
