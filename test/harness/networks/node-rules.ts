// Rules that networks of Kubernetes write on the node, as far as they meet a packet between two pods. Rebuilt from published
// sources, not written by those programs: `source` names version and file.

/** The node's ends of the pods' interfaces. */
export const PORTS = { pod: 'cali77pod', sender: 'cali77sender' } as const;

/** Where a network drops or keeps INVALID packets, and what it needs on the node. */
export interface NodeRules {
  name: string;
  /** Program, version and file. */
  source: string;
  /** For iptables-nft-restore --noflush. */
  iptables?: string;
  /** For nft -f. */
  nft?: string;
}

const { pod: POD, sender: SENDER } = PORTS;

function filter(chains: string[], rules: string[]): string {
  return ['*filter', ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join('\n');
}

/** Those of KUBE-FORWARD that a packet between pods can meet. */
const KUBE_FORWARD = [
  '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
];
const TO_KUBE_FORWARD = '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD';

const KUBE_PROXY: NodeRules = {
  name: 'kube-proxy, iptables',
  source: 'Kubernetes 1.34, pkg/proxy/iptables/proxier.go',
  iptables: filter(['KUBE-FORWARD'], [TO_KUBE_FORWARD, ...KUBE_FORWARD]),
};

/** It appends its chain to FORWARD, and kube-proxy prepends, whichever comes first. */
function flannel(): string {
  const network = '10.77.0.0/16';
  return filter(
    ['KUBE-FORWARD', 'FLANNEL-FWD'],
    [
      TO_KUBE_FORWARD,
      '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
      `-A FLANNEL-FWD -s ${network} -m comment --comment "flanneld forward" -j ACCEPT`,
      `-A FLANNEL-FWD -d ${network} -m comment --comment "flanneld forward" -j ACCEPT`,
      ...KUBE_FORWARD,
    ],
  );
}

const CALICO = 'Calico 3.34-dev (87c15906f2)';
/** Bits of its mark: accepted by a policy, and passed on to the profiles. */
const ACCEPTED = '0x10000';
const RESULTS = '0x30000';

/** A workload's chain: to it (tw) or from it (fw). @param invalid its rule against INVALID packets, where it has one */
function calicoWorkload(chain: string, profile: string, invalid: string[]): string[] {
  return [
    `-A ${chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    ...invalid.map((match) => `-A ${chain} ${match} -j DROP`),
    `-A ${chain} -j MARK --set-xmark 0x0/${RESULTS}`,
    `-A ${chain} -j ${profile}`,
    `-A ${chain} -m mark --mark ${ACCEPTED}/${ACCEPTED} -j RETURN`,
    `-A ${chain} -m comment --comment "Drop if no profiles matched" -j DROP`,
  ];
}

function calicoIptables(invalid: string[]): string {
  const ports = [POD, SENDER];
  const dispatch = (from: boolean) => {
    const [chain, short, flag] = from ? ['cali-from-wl-dispatch', 'fw', '-i'] : ['cali-to-wl-dispatch', 'tw', '-o'];
    return [...ports.map((port) => `-A ${chain} ${flag} ${port} -g cali-${short}-${port}`), `-A ${chain} -j DROP`];
  };
  const workloads = ports.flatMap((port) => [`cali-fw-${port}`, `cali-tw-${port}`]);
  const profiles = ['cali-pri-kns.default', 'cali-pro-kns.default'];
  return filter(
    ['cali-FORWARD', 'cali-OUTPUT', 'cali-from-wl-dispatch', 'cali-to-wl-dispatch', ...workloads, ...profiles],
    [
      '-A FORWARD -j cali-FORWARD',
      `-A FORWARD -m comment --comment "Policy explicitly accepted packet." -m mark --mark ${ACCEPTED}/${ACCEPTED} -j ACCEPT`,
      `-A FORWARD -j MARK --set-xmark ${ACCEPTED}/${ACCEPTED}`,
      '-A OUTPUT -j cali-OUTPUT',
      '-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000',
      '-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch',
      '-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch',
      // What comes from the node itself is not policed on its way to a workload.
      `-A cali-OUTPUT -m mark --mark ${ACCEPTED}/${ACCEPTED} -j ACCEPT`,
      '-A cali-OUTPUT -o cali+ -j RETURN',
      ...dispatch(true),
      ...dispatch(false),
      ...workloads.flatMap((chain) =>
        calicoWorkload(chain, chain.startsWith('cali-tw') ? 'cali-pri-kns.default' : 'cali-pro-kns.default', invalid),
      ),
      ...profiles.flatMap((chain) => [
        `-A ${chain} -j MARK --set-xmark ${ACCEPTED}/${ACCEPTED}`,
        `-A ${chain} -m mark --mark ${ACCEPTED}/${ACCEPTED} -j RETURN`,
      ]),
    ],
  );
}

/** The same chains in its own table, as it writes them in nftables mode. */
function calicoNft(): string {
  const ports = [POD, SENDER];
  const workload = (short: string, port: string, profile: string) => `  chain filter-cali-${short}-${port} {
    ct state related,established counter accept
    ct state invalid counter drop
    counter meta mark set mark & 0xfffcffff
    counter jump ${profile}
    meta mark & ${ACCEPTED} == ${ACCEPTED} counter return
    counter drop
  }`;
  const map = (name: string, short: string) => `  map ${name} {
    type ifname : verdict
    elements = { ${ports.map((port) => `"${port}" : goto filter-cali-${short}-${port}`).join(', ')} }
  }`;
  const profile = (name: string) => `  chain ${name} {
    counter meta mark set mark or ${ACCEPTED}
    meta mark & ${ACCEPTED} == ${ACCEPTED} counter return
  }`;
  return `table ip calico {
${profile('filter-cali-pri-kns.default')}
${profile('filter-cali-pro-kns.default')}
${ports.map((port) => workload('fw', port, 'filter-cali-pro-kns.default')).join('\n')}
${ports.map((port) => workload('tw', port, 'filter-cali-pri-kns.default')).join('\n')}
${map('filter-cali-fw-dispatch', 'fw')}
${map('filter-cali-tw-dispatch', 'tw')}
  chain filter-cali-from-wl-dispatch {
    counter iifname vmap @filter-cali-fw-dispatch
    counter drop
  }
  chain filter-cali-to-wl-dispatch {
    counter oifname vmap @filter-cali-tw-dispatch
    counter drop
  }
  chain filter-cali-FORWARD {
    counter meta mark set mark & 0xfff1ffff
    iifname "cali*" counter jump filter-cali-from-wl-dispatch
    oifname "cali*" counter jump filter-cali-to-wl-dispatch
  }
  chain filter-cali-OUTPUT {
    meta mark & ${ACCEPTED} == ${ACCEPTED} counter accept
    oifname "cali*" counter return
  }
  chain filter-FORWARD {
    type filter hook forward priority 0;
    counter jump filter-cali-FORWARD
    meta mark & ${ACCEPTED} == ${ACCEPTED} counter accept
    counter meta mark set mark or ${ACCEPTED}
  }
  chain filter-OUTPUT {
    type filter hook output priority 0;
    counter jump filter-cali-OUTPUT
  }
}
`;
}

/** Of a pod without a policy. Rules are inserted at position 1 one by one, so that the last inserted comes first. */
function kubeRouter(podAddress: string): string {
  const chain = 'KUBE-POD-FW-POD';
  const mark = (value: string) => `-j MARK --set-xmark ${value}/${value}`;
  return filter(
    ['KUBE-ROUTER-FORWARD', 'KUBE-ROUTER-OUTPUT', 'KUBE-NWPLCY-DEFAULT', chain],
    [
      '-A FORWARD -m comment --comment "kube-router netpol - FORWARD" -j KUBE-ROUTER-FORWARD',
      '-A OUTPUT -m comment --comment "kube-router netpol - OUTPUT" -j KUBE-ROUTER-OUTPUT',
      `-A KUBE-NWPLCY-DEFAULT ${mark('0x10000')}`,
      `-A KUBE-ROUTER-FORWARD -d ${podAddress} -j ${chain}`,
      `-A KUBE-ROUTER-OUTPUT -d ${podAddress} -j ${chain}`,
      '-A KUBE-ROUTER-FORWARD -m mark --mark 0x20000/0x20000 -j ACCEPT',
      `-A ${chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      `-A ${chain} -m comment --comment "rule to drop invalid state for pod" -m conntrack --ctstate INVALID -j DROP`,
      `-A ${chain} -m addrtype --src-type LOCAL -d ${podAddress} -j ACCEPT`,
      `-A ${chain} -d ${podAddress} -j KUBE-NWPLCY-DEFAULT`,
      `-A ${chain} -m mark ! --mark 0x10000/0x10000 -j REJECT`,
      `-A ${chain} -j MARK --set-xmark 0x0/0x10000`,
      `-A ${chain} ${mark('0x20000')}`,
    ],
  );
}

/** Its chain is prepended to FORWARD; it accepts what goes to or comes from its interfaces. @param first which chain comes first */
function cilium(first: 'CILIUM_FORWARD' | 'KUBE-FORWARD'): string {
  const feeder = '-A FORWARD -m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD';
  return filter(
    ['CILIUM_FORWARD', 'KUBE-FORWARD'],
    [
      ...(first === 'CILIUM_FORWARD' ? [feeder, TO_KUBE_FORWARD] : [TO_KUBE_FORWARD, feeder]),
      // Its interfaces are lxc+ there.
      `-A CILIUM_FORWARD -o ${POD} -m comment --comment "cilium: any->cluster on lxc+ forward accept" -j ACCEPT`,
      `-A CILIUM_FORWARD -i ${SENDER} -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT`,
      `-A CILIUM_FORWARD -i ${POD} -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT`,
      ...KUBE_FORWARD,
    ],
  );
}

/**
 * A stand-in: this kernel has no Open vSwitch. Its flow `ct_state=+inv+trk,ip actions=drop` is an nft rule here. That Open vSwitch
 * makes each established connection liberal since Linux 5.11 (net/openvswitch/conntrack.c) is be_liberal of the node here.
 */
const ANTREA = `table ip antrea-stand-in {
  chain ConntrackState {
    type filter hook forward priority 0;
    ct state invalid counter drop
  }
  chain FromHost {
    type filter hook output priority 0;
    ct state invalid counter drop
  }
}
`;

/** By the name that the cases use. */
export function nodeRules(podAddress: string) {
  return {
    none: { name: 'no rule', source: 'flannel, kindnet, AWS VPC CNI, or kube-proxy in nftables mode: none' },
    kubeProxy: KUBE_PROXY,
    flannel: {
      name: 'flannel, kube-proxy iptables',
      source: 'flannel 0.28.9, pkg/trafficmngr/iptables/iptables.go',
      iptables: flannel(),
    },
    calicoIptables: {
      name: 'Calico, iptables',
      source: `${CALICO}, felix/rules/endpoints.go and static.go`,
      iptables: calicoIptables(['-m conntrack --ctstate INVALID']),
    },
    calicoNft: {
      name: 'Calico, nftables',
      source: `${CALICO}, felix/rules/endpoints.go and static.go, felix/nftables/table.go`,
      nft: calicoNft(),
    },
    calicoUnchecked: {
      name: 'Calico, disableConntrackInvalidCheck',
      source: `${CALICO}, felix/rules/endpoints.go`,
      iptables: calicoIptables([]),
    },
    kubeRouter: {
      name: 'kube-router (also in k3s)',
      source: 'kube-router 2.1.0, pkg/controllers/netpol/pod.go',
      iptables: kubeRouter(podAddress),
    },
    ciliumFirst: {
      name: 'Cilium legacy routing, its chain before kube-proxy',
      source: 'Cilium 1.20.2, pkg/datapath/iptables/iptables.go',
      iptables: cilium('CILIUM_FORWARD'),
    },
    ciliumSecond: {
      name: 'Cilium legacy routing, its chain after kube-proxy',
      source: 'Cilium 1.20.2, pkg/datapath/iptables/iptables.go',
      iptables: cilium('KUBE-FORWARD'),
    },
    antrea: {
      name: 'Antrea (stand-in for Open vSwitch)',
      source: 'Antrea 2.8-dev (fc70f2bb7), pkg/agent/openflow/pipeline.go, table ConntrackState',
      nft: ANTREA,
    },
  } satisfies Record<string, NodeRules>;
}

export type NodeRulesName = keyof ReturnType<typeof nodeRules>;
