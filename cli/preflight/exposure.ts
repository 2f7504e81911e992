// Whether INVALID packets between pods reach the pods of this cluster: kube-proxy's rule, and the data plane. Pure.
import type { CniTuning } from './read-cni-tuning.ts';
import type { DataPlane } from './read-data-plane.ts';
import type { KubeProxyFacts } from './read-kube-proxy.ts';

/**
 * exposed: stray segments reach the pods, and reset connections. hidden: the node drops those between pods; others may still
 * reach pods. protected: they may reach pods, whose conntrack takes them for valid. unknown: what decides is not visible.
 */
export type Exposure = 'exposed' | 'hidden' | 'protected' | 'unknown';

export interface ExposureVerdict {
  exposure: Exposure;
  /** Who drops them, where they are hidden. */
  hiddenBy: 'kube-proxy' | 'data plane' | undefined;
  /** Whether those of processes in the node's own network are dropped as well, on their way to a pod of the node. */
  alsoFromNode: boolean;
  /** Why, in one or two sentences. */
  why: string;
  /** measured on a real cluster, measured with rules that were rebuilt from the source, or read in the source. */
  basis: 'measured' | 'rules' | 'read';
}

/**
 * @param liberal who sets nf_conntrack_tcp_be_liberal on nodes: there conntrack calls nothing out of the window INVALID, so
 *   the node drops nothing, and the pods' own namespaces still do
 */
export function judgeExposure(
  proxy: KubeProxyFacts,
  planes: DataPlane[],
  liberal: string[],
  tuning: CniTuning,
): ExposureVerdict {
  if (tuning.ofEachPod.length > 0) {
    const why = `The CNI plugin tuning sets nf_conntrack_tcp_be_liberal to 1 in each new pod (${tuning.ofEachPod.join('; ')}).`;
    return { ...exposed(why, 'measured'), exposure: 'protected' };
  }
  const bypass = planes.find(({ effect }) => effect === 'bypasses');
  if (bypass !== undefined) return exposed(`${bypass.name}: ${bypass.why} So nothing on the node drops INVALID ones.`);
  if (proxy.beLiberal === true)
    return exposed(
      'kube-proxy has --conntrack-tcp-be-liberal, so its rule for INVALID packets is left out.',
      'measured',
    );
  if (liberal.length > 0) {
    const who = `DaemonSet ${liberal.slice(0, 3).join(', ')}`;
    return exposed(
      `${who} sets nf_conntrack_tcp_be_liberal on nodes, so they drop nothing. It does not reach pods.`,
      'measured',
    );
  }
  const drops = planes.find(({ effect }) => effect === 'drops');
  if (drops !== undefined)
    return {
      ...hidden('data plane', `${drops.name}: ${drops.why}`, 'rules'),
      alsoFromNode: drops.alsoFromNode === true,
    };
  return judgeByProxy(proxy, planes);
}

function judgeByProxy(proxy: KubeProxyFacts, planes: DataPlane[]): ExposureVerdict {
  if (proxy.state === 'absent' || planes.some(({ replacesKubeProxy }) => replacesKubeProxy))
    return exposed('There is no kube-proxy, and so no rule on the node that drops INVALID packets.');
  if (proxy.mode === undefined) {
    const why = proxy.state === 'seen' ? proxy.evidence : 'The mode of kube-proxy is not visible in this cluster.';
    return unknown(why);
  }
  if (proxy.mode === 'nftables')
    return exposed('kube-proxy in nftables mode drops no INVALID packets between pods.', 'measured');
  if (proxy.mode === 'ipvs') return exposed('kube-proxy in IPVS mode drops no INVALID packets between pods.');
  if (proxy.mode === 'other')
    return unknown(`The mode of kube-proxy is none that this program knows (${proxy.evidence}).`);
  const depends = planes.find(({ effect }) => effect === 'depends');
  if (depends !== undefined) return unknown(`${depends.name}: ${depends.why}`);
  return hidden(
    'kube-proxy',
    'kube-proxy in iptables mode drops INVALID packets that the node forwards between pods.',
    'measured',
  );
}

const exposed = (why: string, basis: ExposureVerdict['basis'] = 'read'): ExposureVerdict => ({
  exposure: 'exposed',
  hiddenBy: undefined,
  alsoFromNode: false,
  why,
  basis,
});
const hidden = (
  hiddenBy: ExposureVerdict['hiddenBy'],
  why: string,
  basis: ExposureVerdict['basis'],
): ExposureVerdict => ({ exposure: 'hidden', hiddenBy, alsoFromNode: false, why, basis });
const unknown = (why: string): ExposureVerdict => ({ ...exposed(why), exposure: 'unknown' });
