// The paths of a cluster's files, and its addresses.

/** Addresses inside the cluster's network namespaces; nothing else can see them, so every cluster has the same. */
export const NETWORK = {
  bridge: 'cni0',
  /** The first node's own, on the bridge. The API server and the cluster DNS listen on them. */
  node: { ipv4: '10.244.0.1', ipv6: 'fd10:244::1' },
  /** Of all nodes, whose bridges are one network. */
  pods: { ipv4: '10.244.0.0/16', ipv6: 'fd10:244::/64' },
  services: { ipv4: '10.96.0.0/16', ipv6: 'fd10:96::/112' },
  /** The first address of the Service range: `kubernetes.default`. */
  kubernetes: { ipv4: '10.96.0.1', ipv6: 'fd10:96::1' },
  apiServer: 'https://10.244.0.1:6443',
  etcd: 'http://127.0.0.1:2379',
} as const;

/** Each has a quarter of the pods' IPv4 addresses. */
export const MAX_NODES = 4;

interface NodeNetwork {
  /** The node's own addresses, which are its pods' gateways. */
  node: { ipv4: string; ipv6: string };
  /** Where the addresses of its pods begin and end; none for the first node, which takes them from the beginning. */
  range?: { ipv4: [first: string, last: string]; ipv6: [first: string, last: string] };
}

/** The addresses of a node and of its pods. @param number from 1 to MAX_NODES */
export function networkOf(number: number): NodeNetwork {
  if (number === 1) return { node: NETWORK.node };
  const third = 64 * (number - 1);
  return {
    node: { ipv4: `10.244.${third}.1`, ipv6: `fd10:244::${number}:1` },
    range: {
      ipv4: [`10.244.${third}.2`, `10.244.${third + 63}.254`],
      ipv6: [`fd10:244::${number}:2`, `fd10:244::${number}:ffff`],
    },
  };
}

export type Layout = ReturnType<typeof layoutOf>;

/**
 * A cluster as it is seen from one of its nodes; all but the node's own is the same from each.
 * @param name the cluster's name
 * @param number of the node: the first holds the control plane
 * @returns absolute paths, and names of its namespace and cgroup
 */
export function layoutOf(name: string, number = 1) {
  const state = `/tmp/invalid-drop-cluster/${name}`;
  const id = `cluster-${name}`;
  const isFirst = number === 1;
  // No cluster's name has a dot: this is not the namespace of another cluster.
  const netns = isFirst ? id : `${id}.${number}`;
  const own = isFirst ? `${state}/node` : `${state}/node-${number}`;
  const conf = `${state}/cni/conf`;
  return {
    name,
    number,
    nodeName: isFirst ? name : `${name}-${number}`,
    /** Ends the names of the node's own files. */
    suffix: isFirst ? '' : `@${number}`,
    /** Everything that the cluster writes is below it. */
    state,
    /** Of the network namespace. */
    netns,
    netnsFile: `/run/netns/${netns}`,
    /** Below each cgroup hierarchy: all pods of the cluster. */
    cgroup: id,
    /** Below each cgroup hierarchy: the node's pods. Each kubelet removes what it does not know below its own. */
    nodeCgroup: isFirst ? id : `${id}/node-${number}`,
    /** Of a superuser. */
    kubeconfig: `${state}/kubeconfig`,
    /** One JSON object a line, level Metadata. */
    auditLog: `${state}/log/audit.log`,
    /** Output of each component: NAME.log. */
    logs: `${state}/log`,
    pids: `${state}/pid`,
    files: `${state}/files`,
    /** Registries that the nodes trust beside those of public CAs: containerd's hosts.toml, in a folder for each. */
    registries: `${state}/certs.d`,
    /** The pod network's programs, as links, and its configuration: add-ons of the network write here. */
    cni: { bin: `${state}/cni/bin`, conf },
    pki: `${state}/pki`,
    data: `${state}/data`,
    /**
     * What the node's programs have as /run, /var/lib and /var/log. Add-ons write to one path on all nodes, so that a
     * further node has its own pod network's configuration there.
     */
    node: {
      '/run': `${own}/run`,
      '/var/lib': `${own}/lib`,
      '/var/log': `${own}/log`,
      ...(isFirst ? {} : { [conf]: `${own}/cni-conf` }),
    },
    /** The pod network's configuration, as it is reached from outside the node. */
    cniConf: isFirst ? conf : `${own}/cni-conf`,
    /** Of containerd, as it is reached from outside the node. */
    containerd: `${own}/run/containerd/containerd.sock`,
    /** Programs that were found or built, as links: first on the PATH of what runs in the cluster. */
    bin: `${state}/bin`,
    /** Those that this node has instead, before them. */
    nodeBin: isFirst ? `${state}/bin` : `${own}/bin`,
    /** A /proc over which nothing is mounted. */
    wholeProc: `${own}/proc`,
    /** How many nodes it has. */
    nodes: `${state}/nodes`,
    /** Says that `up` came to its end. */
    ready: `${state}/ready`,
    /** Id and start of the process that brings it up. */
    owner: `${state}/owner`,
  };
}

/** The cluster's first nodes. */
export function firstNodes({ name }: Pick<Layout, 'name'>, count: number): Layout[] {
  return Array.from({ length: count }, (_, index) => layoutOf(name, index + 1));
}
