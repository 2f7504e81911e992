// The files that the components read: configuration, kubeconfigs, certificates, and links to the programs.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { LIBERAL_SYSCTL } from '../../lib/pod/liberal-sysctl.ts';
import { writeCertificates } from './cluster-certificates.ts';
import { firstNodes, type Layout, NETWORK, networkOf } from './cluster-layout.ts';
import { CNI } from './cluster-programs.ts';
import type { Settings } from './cluster-settings.ts';

const CLIENTS = ['kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'coredns'];

/**
 * @param programs name to path
 * @param runtime those that the second node has instead
 */
export async function writeFiles(
  layout: Layout,
  settings: Settings,
  programs: Map<string, string>,
  runtime: Map<string, string>,
): Promise<void> {
  const { bin, cni, files, registries, logs, pids, data } = layout;
  const directories = [bin, logs, pids, data, registries, cni.bin, cni.conf, `${files}/static-pods`];
  for (const directory of directories) await mkdir(directory, { recursive: true });
  for (const [name, path] of programs) await symlink(path, `${bin}/${name}`);
  const kubeconfigs = CLIENTS.map((name): [string, string] => [`${name}.kubeconfig`, credentialsOf(layout, name)]);
  const texts = new Map([
    ['audit-policy.json', auditPolicy()],
    ['Corefile', corefile(layout)],
    ['resolv.conf', ''],
    ...kubeconfigs,
    ...firstNodes(layout, settings.nodes).flatMap((node) => nodeFiles(node, settings)),
  ]);
  for (const node of firstNodes(layout, settings.nodes)) {
    await mkdir(node.nodeBin, { recursive: true });
    for (const [name, path] of knowsUserNamespaces(node, settings) ? runtime : [])
      await symlink(path, `${node.nodeBin}/${name}`);
    await mkdir(node.cniConf, { recursive: true });
    await writeFile(`${node.cniConf}/${CNI_FILE}`, cniConfiguration(node.number));
  }
  for (const path of CNI) await symlink(path, `${cni.bin}/${basename(path)}`);
  for (const [name, text] of texts) await writeFile(`${files}/${name}`, text);
  await writeFile(layout.kubeconfig, credentialsOf(layout, 'admin'), { mode: 0o600 });
  await writeFile(layout.nodes, `${settings.nodes}`);
  await writeCertificates(layout, settings.nodes);
}

/** The first node keeps Debian's runtime, which many nodes out there have. */
const knowsUserNamespaces = ({ number }: Layout, { userNamespaces }: Settings) => userNamespaces && number === 2;

/** The files that only one node reads. */
function nodeFiles(node: Layout, settings: Settings): [name: string, text: string][] {
  const { suffix } = node;
  const containerd = knowsUserNamespaces(node, settings)
    ? containerd2Configuration(node)
    : containerdConfiguration(node);
  return [
    [`containerd${suffix}.toml`, containerd],
    [`kube-proxy${suffix}.json`, kubeProxyConfiguration(node, settings)],
    [`kubelet${suffix}.json`, kubeletConfiguration(node)],
    [`kubelet${suffix}.kubeconfig`, credentialsOf(node, `kubelet${suffix}`)],
  ];
}

function credentialsOf({ pki }: Layout, party: string): string {
  return kubeconfig({ ca: `${pki}/ca.crt`, cert: `${pki}/${party}.crt`, key: `${pki}/${party}.key` });
}

export function auditPolicy(): string {
  return JSON.stringify({
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [{ level: 'Metadata' }],
  });
}

export const PAUSE_IMAGE = 'localhost/invalid-drop-cluster/pause:1';

/** containerd uses its default folders, since the node has its own /run and /var/lib. */
export function containerdConfiguration(layout: Layout): string {
  return `version = 2
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "${layout.registries}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${layout.cni.bin}"
  conf_dir = "${layout.cni.conf}"
`;
}

/** As containerdConfiguration, for containerd 2. */
function containerd2Configuration(layout: Layout): string {
  return `version = 3
oom_score = 0
# It would write to /opt, which is the machine's.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "${layout.registries}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["${layout.cni.bin}"]
  conf_dir = "${layout.cni.conf}"
`;
}

/** The pod network's configuration in `cniConf` of a layout. */
export const CNI_FILE = '10-cluster.conflist';

/**
 * Bridge with a route and an address of both families for each pod.
 * @param number of the node
 * @param sysctls that the plugin `tuning` sets in each pod; without any the plugin is not called
 */
export function cniConfiguration(number: number, sysctls: Record<string, string> = {}): string {
  const { node, range } = networkOf(number);
  const rangeOf = (family: 'ipv4' | 'ipv6') => {
    const whole = { subnet: NETWORK.pods[family], gateway: node[family] };
    return range ? { ...whole, rangeStart: range[family][0], rangeEnd: range[family][1] } : whole;
  };
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
          ranges: [[rangeOf('ipv4')], [rangeOf('ipv6')]],
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
      ...(Object.keys(sysctls).length > 0 ? [{ type: 'tuning', sysctl: sysctls }] : []),
    ],
  });
}

const ADDRESSES = Object.values(NETWORK.node).join(' ');

/** Answers for cluster.local and the reverse zones; all other names do not exist, since the cluster has no way out. */
export function corefile(layout: Layout): string {
  return `cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
  bind ${ADDRESSES}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${layout.files}/coredns.kubeconfig
    pods insecure
    ttl 5
  }
}
.:53 {
  bind ${ADDRESSES}
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;
}

export function kubeProxyConfiguration(
  layout: Layout,
  settings: Pick<Settings, 'kubeProxyMode' | 'beLiberal'>,
): string {
  return JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: `${layout.files}/kube-proxy.kubeconfig` },
    mode: settings.kubeProxyMode,
    clusterCIDR: `${NETWORK.pods.ipv4},${NETWORK.pods.ipv6}`,
    hostnameOverride: layout.nodeName,
    // 0 leaves a setting as it is: the table's size belongs to the whole machine.
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: '0s',
      tcpCloseWaitTimeout: '0s',
      tcpBeLiberal: settings.beLiberal,
    },
  });
}

/** @param credentials paths of PEM files */
export function kubeconfig(credentials: { ca: string; cert: string; key: string }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'cluster', cluster: { server: NETWORK.apiServer, 'certificate-authority': credentials.ca } }],
    users: [{ name: 'user', user: { 'client-certificate': credentials.cert, 'client-key': credentials.key } }],
    contexts: [{ name: 'cluster', context: { cluster: 'cluster', user: 'user' } }],
    'current-context': 'cluster',
  });
}

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
    tlsCertFile: `${layout.pki}/kubelet-serving${layout.suffix}.crt`,
    tlsPrivateKeyFile: `${layout.pki}/kubelet-serving${layout.suffix}.key`,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    clusterDomain: 'cluster.local',
    clusterDNS: [NETWORK.node.ipv4],
    resolvConf: `${layout.files}/resolv.conf`,
    staticPodPath: `${layout.files}/static-pods`,
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${layout.nodeCgroup}`,
    enforceNodeAllocatable: [],
    // With it the kubelet accepts that limits cannot be raised and OOM scores not lowered, as in a container.
    featureGates: { KubeletInUserNamespace: true },
    failSwapOn: false,
    // As on nodes whose operator lets pods set it.
    allowedUnsafeSysctls: [LIBERAL_SYSCTL],
    oomScoreAdj: 0,
    // The machine is shared: a full disk must not evict the cluster's pods.
    evictionHard: {
      'memory.available': '0%',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
      'nodefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    maxPods: 200,
    // makeNode sets them in the node's own view of /proc/sys, so that the machine's settings stay as they are.
    protectKernelDefaults: true,
    shutdownGracePeriod: '0s',
    registerNode: true,
  });
}
