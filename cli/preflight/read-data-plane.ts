// Which program carries packets between pods, and what that means for INVALID ones. Pure.
import { type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { type ClusterAnswers, mapText, objectsOf } from './cluster-answers.ts';
import { wordsOf } from './read-kube-proxy.ts';
import { minorOf, type NodeFacts } from './read-nodes.ts';

/** What happens to INVALID TCP packets between pods on a node with this data plane, beside what kube-proxy's rule does. */
export type PlaneEffect =
  /** They cross the node's iptables, and it has no rule for them of its own. */
  | 'crosses'
  /** They cross, and it drops them itself. */
  | 'drops'
  /** They do not cross the node's iptables: kube-proxy's rule does not see them. */
  | 'bypasses'
  /** Depends on what the API does not show. */
  | 'depends';

export interface DataPlane {
  name: string;
  effect: PlaneEffect;
  /** True where it does the work of kube-proxy. */
  replacesKubeProxy: boolean;
  /** Whether it also drops those that a process of the node sends to a pod of the node. */
  alsoFromNode?: boolean;
  /** Where it was seen. */
  evidence: string;
  /** Why the effect is so: one sentence. */
  why: string;
}

interface KnownPlane {
  /** Of its DaemonSet. */
  pattern: RegExp;
  read(answers: ClusterAnswers, daemonSet: JsonObject): Omit<DataPlane, 'evidence'>;
}

const CROSSES = 'Its packets cross the iptables of the node, and it has no rule for INVALID ones.';
/** Of its flows, those of Antrea and OVN drop INVALID packets; net/openvswitch/conntrack.c leaves none since Linux 5.11. */
const OVS =
  'Open vSwitch carries the packets between pods of a node past its iptables, and makes each connection liberal there (Linux 5.11 and later).';

const crosses = (name: string) => () => plane(name, 'crosses', false, CROSSES);

function plane(name: string, effect: PlaneEffect, replacesKubeProxy: boolean, why: string) {
  return { name, effect, replacesKubeProxy, why };
}

/** By the names that their manifests, charts and operators give the DaemonSets. Read in their sources, not measured. */
const PLANES: KnownPlane[] = [
  { pattern: /^calico-node(-|$)/, read: readCalico },
  {
    pattern: /^(rke2-)?canal$/,
    read: (answers, one) => ({ ...readCalico(answers, one), name: 'Canal (Calico policies, flannel)' }),
  },
  { pattern: /^cilium$/, read: readCilium },
  {
    pattern: /^anetd/,
    read: () =>
      plane('GKE Dataplane V2 (Cilium)', 'bypasses', true, 'eBPF carries the packets past the iptables of the node.'),
  },
  { pattern: /^ovnkube-node/, read: () => plane('OVN-Kubernetes', 'bypasses', true, OVS) },
  { pattern: /^kube-ovn-cni$/, read: () => plane('Kube-OVN', 'bypasses', false, OVS) },
  { pattern: /^antrea-agent$/, read: () => plane('Antrea', 'bypasses', false, OVS) },
  { pattern: /^kube-router$/, read: readKubeRouter },
  { pattern: /^aws-node$/, read: crosses('AWS VPC CNI') },
  { pattern: /^azure-(cns|cni)/, read: crosses('Azure CNI') },
  { pattern: /^kube-flannel(-ds)?/, read: crosses('flannel') },
  { pattern: /^kindnet$/, read: crosses('kindnet') },
  {
    pattern: /^weave-net$/,
    read: () =>
      plane(
        'Weave Net',
        'depends',
        false,
        'Its fast datapath is Open vSwitch, which may carry packets past the iptables of the node.',
      ),
  },
  { pattern: /^sdn$/, read: () => plane('OpenShift SDN', 'bypasses', true, OVS) },
];

/** @returns the data planes that are seen; several where one does policies for another */
export function readDataPlanes(answers: ClusterAnswers, nodes: NodeFacts[]): DataPlane[] {
  const found: DataPlane[] = objectsOf(answers.lists.daemonSets).flatMap((daemonSet) => {
    const metadata = objectAt(daemonSet, 'metadata');
    const name = shortText(metadata['name']);
    const known = PLANES.find(({ pattern }) => pattern.test(name));
    if (known === undefined) return [];
    const evidence = `DaemonSet ${shortText(metadata['namespace'])}/${name}`;
    return [{ ...known.read(answers, daemonSet), evidence }];
  });
  found.push(...insideK3s(nodes));
  // Azure's own agent stays beside Cilium, which then carries the packets.
  const carrier = found.some(({ effect }) => effect === 'bypasses' || effect === 'depends');
  return carrier ? found.filter(({ effect }) => effect !== 'crosses') : found;
}

/**
 * Felix drops INVALID packets to and from each workload (rules/endpoints.go), unless DisableConntrackInvalidCheck is set. Not
 * with eBPF.
 */
function readCalico({ objects }: ClusterAnswers, daemonSet: JsonObject) {
  const installation = objects.calicoInstallation.state === 'read' ? objects.calicoInstallation.value : {};
  const felix = objects.felixConfiguration.state === 'read' ? objects.felixConfiguration.value : {};
  const { linuxDataplane } = objectAt(installation, 'spec', 'calicoNetwork');
  const { bpfEnabled, disableConntrackInvalidCheck, nftablesFlowTableOffload } = objectAt(felix, 'spec');
  const set = (name: string) => /^true$/i.test(variable(daemonSet, name));
  if (linuxDataplane === 'BPF' || bpfEnabled === true || set('FELIX_BPFENABLED'))
    return plane('Calico with eBPF', 'bypasses', true, 'eBPF carries the packets past the iptables of the node.');
  // Such packets skip the hook that its rules are in (felix/rules/static.go of 3.34).
  if (nftablesFlowTableOffload === 'All')
    return plane('Calico with flow offload', 'bypasses', false, 'Flow offload carries the packets past its own rules.');
  if (disableConntrackInvalidCheck === true || set('FELIX_DISABLECONNTRACKINVALIDCHECK'))
    return plane(
      'Calico',
      'crosses',
      false,
      'Its own rule for INVALID packets is switched off (disableConntrackInvalidCheck).',
    );
  if (objects.felixConfiguration.state === 'refused' || objects.felixConfiguration.state === 'failed')
    return plane(
      'Calico',
      'depends',
      false,
      'FelixConfiguration, which says whether it uses eBPF and drops INVALID packets, could not be read.',
    );
  return plane(
    'Calico',
    'drops',
    false,
    'It drops INVALID packets to and from each pod on the node, by a rule of its own.',
  );
}

/**
 * Without eBPF host routing packets between nodes cross the iptables of the node. Its chain CILIUM_FORWARD accepts them, and stands
 * first unless prepend-iptables-chains is false, or kube-proxy came later (1.20, pkg/datapath/iptables/iptables.go, cell.go). Its own
 * connection table looks at no sequence number (bpf/lib/conntrack.h).
 */
function readCilium({ configMaps }: ClusterAnswers, daemonSet: JsonObject) {
  const map = configMaps[`${shortText(objectAt(daemonSet, 'metadata')['namespace'])}/cilium-config`];
  const replacement = mapText(map, 'kube-proxy-replacement');
  if (replacement === 'true' || replacement === 'strict')
    return plane(
      'Cilium in place of kube-proxy',
      'bypasses',
      true,
      'eBPF carries the packets past the iptables of the node.',
    );
  if (map?.state === 'read' && mapText(map, 'prepend-iptables-chains') !== 'false') {
    const why =
      'eBPF carries the packets past the iptables of the node, or a rule of its own accepts them before that of kube-proxy.';
    return plane('Cilium', 'bypasses', false, why);
  }
  const why =
    'With eBPF host routing packets go past the iptables of the node, otherwise they cross them. What it chose is not visible.';
  return plane('Cilium', 'depends', false, why);
}

const EACH_POD =
  'Its network policies drop INVALID packets to and from each pod on the node, also those of processes of the node.';

/** It has a chain for each pod since 2.1 at the latest, whose second rule drops INVALID packets (pkg/controllers/netpol/pod.go). */
function readKubeRouter(_: ClusterAnswers, daemonSet: JsonObject) {
  const template = objectAt(daemonSet, 'spec', 'template');
  const words = wordsOf(template);
  const proxies = /--run-service-proxy(?!=false)/.test(words);
  if (/--run-firewall=false/.test(words)) return plane('kube-router', 'crosses', proxies, CROSSES);
  const images = objectsAt(template, 'spec', 'containers').map(({ image }) => shortText(image, 300));
  if (images.some((image) => /kube-router:v?2\.[1-9]/.test(image)))
    return { ...plane('kube-router', 'drops', proxies, EACH_POD), alsoFromNode: true };
  const why = 'It drops INVALID packets of pods that its policies cover. Which pods these are depends on its version.';
  return plane('kube-router', 'depends', proxies, why);
}

/** k3s has the network policies of kube-router 2 inside its own process (pkg/agent/netpol), unless they are switched off. */
function insideK3s(nodes: NodeFacts[]): DataPlane[] {
  const own = nodes.filter(({ kubelet }) => /\+k3s/.test(kubelet));
  const [first] = own;
  const isOff = own.some(({ k3sArguments = [] }) => /--disable-network-policy(?!=false)/.test(k3sArguments.join(' ')));
  if (first === undefined || isOff || own.some(({ kubelet }) => minorOf(kubelet) < K3S_SINCE)) return [];
  const found = plane('k3s (network policies of kube-router)', 'drops', false, EACH_POD);
  return [{ ...found, alsoFromNode: true, evidence: `kubelet ${first.kubelet} of node ${first.name}` }];
}

/** Older ones were not looked at, and are too old for the webhook. */
const K3S_SINCE = 130;

function variable(daemonSet: JsonObject, name: string): string {
  const containers = objectsAt(daemonSet, 'spec', 'template', 'spec', 'containers');
  const found = containers.flatMap((one) => objectsAt(one, 'env')).find((one) => one['name'] === name);
  return shortText(found?.['value'], 60);
}

const SYSCTL = 'nf_conntrack_tcp_be_liberal';

/** DaemonSets whose command sets the sysctl on nodes, which is the usual advice. @returns NAMESPACE/NAME of each */
export function liberalDaemonSets(answers: ClusterAnswers): string[] {
  return objectsOf(answers.lists.daemonSets)
    .filter((one) => {
      const words = wordsOf(objectAt(one, 'spec', 'template'));
      return new RegExp(`${SYSCTL}[= ]+["']?1`).test(words);
    })
    .map(
      (one) => `${shortText(objectAt(one, 'metadata')['namespace'])}/${shortText(objectAt(one, 'metadata')['name'])}`,
    );
}
