// Configuration of kube-proxy.

import type { Settings } from '../cluster-settings.ts';
import { type Layout, NETWORK } from '../layout.ts';

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
    hostnameOverride: layout.name,
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
