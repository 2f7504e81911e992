// What kube-proxy, the data plane and be_liberal mean for the pods of this cluster. Pure.
import type { Exposure, ExposureVerdict } from './exposure.ts';
import { type Finding, type FindingLevel, finding } from './preflight-finding.ts';
import type { CniTuning } from './read-cni-tuning.ts';
import type { DataPlane } from './read-data-plane.ts';
import type { KubeProxyFacts } from './read-kube-proxy.ts';

const LEVELS: Record<Exposure, FindingLevel> = {
  exposed: 'warning',
  hidden: 'note',
  protected: 'note',
  unknown: 'unknown',
};

/** @param meshed whether there are pods that a mesh redirects: the others are not exposed whatever the node does */
export function exposureFindings(
  verdict: ExposureVerdict,
  proxy: KubeProxyFacts,
  planes: DataPlane[],
  liberal: string[],
  tuning: CniTuning,
  meshed: boolean,
): Finding[] {
  const level = meshed ? LEVELS[verdict.exposure] : 'note';
  const seen = [proxy.evidence, ...planes.map(({ name, evidence }) => `${name} (${evidence})`)];
  if (planes.length === 0) seen.push('no data plane that this program knows');
  if (liberal.length > 0)
    seen.push(`DaemonSets that set nf_conntrack_tcp_be_liberal: ${liberal.slice(0, 3).join(', ')}`);
  const basis = verdict.exposure === 'unknown' ? '' : BASIS[verdict.basis];
  const key = verdict.exposure === 'hidden' && verdict.alsoFromNode ? 'hidden also from the node' : verdict.exposure;
  return [
    finding(`pods-${verdict.exposure}`, level, seen.join('; '), `${verdict.why}${basis} ${MEANS[key]}`, DO[key]),
    ...attachments(tuning),
    ...nextDefault(verdict, proxy),
  ];
}

const BASIS: Record<ExposureVerdict['basis'], string> = {
  measured: '',
  rules: ' (Measured with rules rebuilt from its source, not on such a cluster.)',
  read: ' (Read in the source, not measured.)',
};

function attachments({ attachments: names }: CniTuning): Finding[] {
  if (names.length === 0) return [];
  const more = names.length > 3 ? ', ...' : '';
  return [
    finding(
      'attachments-liberal',
      'note',
      `NetworkAttachmentDefinitions with the CNI plugin tuning: ${names.slice(0, 3).join(', ')}${more}`,
      'It sets nf_conntrack_tcp_be_liberal to 1 in the pods that name them, for all of their network. Segments out of the window are valid there.',
    ),
  ];
}

/** Measured: test/e2e/networks.e2e.ts with kube-proxy, test/netns/node-networks-near.test.ts with the rules of others. */
const HANGS =
  'On Linux 5.15.68, 6.0 and later a rule of the node also makes connections hang whose segments go a little astray, whatever there is in the pod.';

const MEANS: Record<Exposure | 'hidden also from the node', string> = {
  exposed: 'Stray segments reach the pods, and reset connections that the mesh redirects.',
  hidden: `So this bug is hidden between pods. Stray segments from the host network of a node to pods of the same node still reset connections: gateways with hostNetwork, for instance. ${HANGS}`,
  'hidden also from the node': `So this bug is hidden, also from processes in the network of the node. It shows where that rule goes, or where conntrack of a node is liberal. ${HANGS}`,
  protected:
    'Segments out of the window are valid in these pods, and do no harm there with or without invalid-drop. Pods that are older than that setting are exposed, and so are those of nodes that have another configuration.',
  unknown: 'So it is not known whether stray segments reach the pods.',
};

const DO: Record<Exposure | 'hidden also from the node', string> = {
  exposed: 'Install invalid-drop, and label the namespaces below.',
  hidden:
    'Install it before kube-proxy, the data plane or be_liberal changes. For host-network gateways, install it now. Once the pods are guarded, set be_liberal on nodes, so that nothing hangs there (docs/networks.md).',
  'hidden also from the node':
    'Install it before the data plane or be_liberal changes. Once the pods are guarded, set be_liberal on nodes, so that nothing hangs there (docs/networks.md).',
  protected:
    'Ask a pod of each kind of node: kubectl invalid-drop explain POD shows tcp_be_liberal. What invalid-drop adds there is in docs/networks.md.',
  unknown:
    'Ask a node: curl -s http://127.0.0.1:10249/proxyMode there, or kubectl invalid-drop explain --node NAME while resets happen. ' +
    'If that is iptables by default, it becomes nftables with Kubernetes 1.40, and pods are exposed then.',
};

/** Those whom the new default of kube-proxy concerns: its rule hides the bug, and nobody chose the mode. */
function nextDefault(verdict: ExposureVerdict, proxy: KubeProxyFacts): Finding[] {
  if (proxy.state !== 'seen' || proxy.mode !== 'iptables' || verdict.hiddenBy !== 'kube-proxy') return [];
  if (!proxy.byDefault) {
    const means =
      'The mode is chosen, so the new default of Kubernetes 1.40 (nftables) does not change it. Who changes it loses the rule that hides this bug.';
    return [finding('kube-proxy-iptables-chosen', 'note', proxy.evidence, means)];
  }
  return [
    finding(
      'kube-proxy-default-changes',
      'note',
      proxy.evidence,
      'The default mode of kube-proxy becomes nftables in Kubernetes 1.40. With it goes the rule that hides this bug: after the upgrade pods are exposed.',
      'Install invalid-drop before the upgrade to 1.40, or set mode: iptables in the configuration of kube-proxy until you have.',
    ),
  ];
}
