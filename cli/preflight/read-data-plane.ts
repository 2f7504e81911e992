// Which program carries packets between pods, and what that means for INVALID ones. Pure.
import { type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { type ClusterAnswers, mapText, objectsOf } from './cluster-answers.ts';
import { wordsOf } from './read-kube-proxy.ts';

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
const OVS = 'Open vSwitch carries the packets past the iptables of the node, and makes each connection liberal there.';

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
export function readDataPlanes(answers: ClusterAnswers): DataPlane[] {
  const found = objectsOf(answers.lists.daemonSets).flatMap((daemonSet) => {
    const metadata = objectAt(daemonSet, 'metadata');
    const name = shortText(metadata['name']);
    const known = PLANES.find(({ pattern }) => pattern.test(name));
    if (known === undefined) return [];
    const evidence = `DaemonSet ${shortText(metadata['namespace'])}/${name}`;
    return [{ ...known.read(answers, daemonSet), evidence }];
  });
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
  const { bpfEnabled, disableConntrackInvalidCheck } = objectAt(felix, 'spec');
  const set = (name: string) => /^true$/i.test(variable(daemonSet, name));
  if (linuxDataplane === 'BPF' || bpfEnabled === true || set('FELIX_BPFENABLED'))
    return plane('Calico with eBPF', 'bypasses', true, 'eBPF carries the packets past the iptables of the node.');
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
  const why =
    'With eBPF host routing packets go past the iptables of the node, otherwise they cross them. What it chose is not visible.';
  return plane('Cilium', 'depends', false, why);
}

/** Its rules for pods that a NetworkPolicy selects drop INVALID packets; the others depend on its version. */
function readKubeRouter(_: ClusterAnswers, daemonSet: JsonObject) {
  const proxies = /--run-service-proxy(?!=false)/.test(wordsOf(objectAt(daemonSet, 'spec', 'template')));
  const why = 'It drops INVALID packets of pods that its policies cover. Which pods these are depends on its version.';
  return plane('kube-router', 'depends', proxies, why);
}

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
