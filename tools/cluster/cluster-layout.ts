// The paths of a cluster's files, and its addresses.

/** Addresses inside the cluster's network namespace; nothing else can see them, so every cluster has the same. */
export const NETWORK = {
  bridge: 'cni0',
  /** The node's own, on the bridge. The API server and the cluster DNS listen on them. */
  node: { ipv4: '10.244.0.1', ipv6: 'fd10:244::1' },
  pods: { ipv4: '10.244.0.0/16', ipv6: 'fd10:244::/64' },
  services: { ipv4: '10.96.0.0/16', ipv6: 'fd10:96::/112' },
  /** The first address of the Service range: `kubernetes.default`. */
  kubernetes: { ipv4: '10.96.0.1', ipv6: 'fd10:96::1' },
  apiServer: 'https://10.244.0.1:6443',
  etcd: 'http://127.0.0.1:2379',
} as const;

export type Layout = ReturnType<typeof layoutOf>;

/** @param name the cluster's name @returns absolute paths, and names of its namespace and cgroup */
export function layoutOf(name: string) {
  const state = `/tmp/invalid-drop-cluster/${name}`;
  const id = `cluster-${name}`;
  return {
    name,
    /** Everything that the cluster writes is below it. */
    state,
    /** Of the network namespace. */
    netns: id,
    netnsFile: `/run/netns/${id}`,
    /** Below each cgroup hierarchy: all pods. */
    cgroup: id,
    /** Of a superuser. */
    kubeconfig: `${state}/kubeconfig`,
    /** One JSON object a line, level Metadata. */
    auditLog: `${state}/log/audit.log`,
    /** Output of each component: NAME.log. */
    logs: `${state}/log`,
    pids: `${state}/pid`,
    files: `${state}/files`,
    /** The pod network's programs, as links, and its configuration: add-ons of the network write here. */
    cni: { bin: `${state}/cni/bin`, conf: `${state}/cni/conf` },
    pki: `${state}/pki`,
    data: `${state}/data`,
    /** What the node's programs have as /run, /var/lib and /var/log. */
    node: { '/run': `${state}/node/run`, '/var/lib': `${state}/node/lib`, '/var/log': `${state}/node/log` },
    /** Of containerd, as it is reached from outside the node. */
    containerd: `${state}/node/run/containerd/containerd.sock`,
    /** Programs that were found or built, as links: first on the PATH of what runs in the cluster. */
    bin: `${state}/bin`,
    /** Says that `up` came to its end. */
    ready: `${state}/ready`,
    /** Id and start of the process that brings it up. */
    owner: `${state}/owner`,
  };
}
