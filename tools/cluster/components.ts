// The programs of the cluster and their arguments, in the order in which they start.
import { type Layout, NETWORK } from './layout.ts';

export const COMPONENTS = [
  'etcd',
  'containerd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'coredns',
] as const;
export type Component = (typeof COMPONENTS)[number];

export function isComponent(name: string): name is Component {
  return (COMPONENTS as readonly string[]).includes(name);
}

/** The arguments of a component; its program has the component's name. */
export function argumentsOf(component: Component, layout: Layout): string[] {
  return ARGUMENTS[component](layout);
}

const ARGUMENTS: Record<Component, (layout: Layout) => string[]> = {
  etcd: ({ data }) => [
    `--data-dir=${data}/etcd`,
    `--listen-client-urls=${NETWORK.etcd}`,
    `--advertise-client-urls=${NETWORK.etcd}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--logger=zap',
  ],
  containerd: ({ files }) => [`--config=${files}/containerd.toml`],
  'kube-apiserver': ({ files, pki, auditLog }) => [
    `--etcd-servers=${NETWORK.etcd}`,
    `--advertise-address=${NETWORK.node.ipv4}`,
    `--service-cluster-ip-range=${NETWORK.services.ipv4},${NETWORK.services.ipv6}`,
    '--allow-privileged=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--client-ca-file=${pki}/ca.crt`,
    `--tls-cert-file=${pki}/kube-apiserver.crt`,
    `--tls-private-key-file=${pki}/kube-apiserver.key`,
    `--kubelet-certificate-authority=${pki}/ca.crt`,
    `--kubelet-client-certificate=${pki}/kubelet-client.crt`,
    `--kubelet-client-key=${pki}/kubelet-client.key`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki}/service-accounts.key`,
    `--service-account-signing-key-file=${pki}/service-accounts.key`,
    `--audit-policy-file=${files}/audit-policy.json`,
    `--audit-log-path=${auditLog}`,
  ],
  'kube-controller-manager': ({ files, pki, name }) => [
    `--kubeconfig=${files}/kube-controller-manager.kubeconfig`,
    `--cluster-name=${name}`,
    `--root-ca-file=${pki}/ca.crt`,
    `--cluster-signing-cert-file=${pki}/ca.crt`,
    `--cluster-signing-key-file=${pki}/ca.key`,
    `--service-account-private-key-file=${pki}/service-accounts.key`,
    `--service-cluster-ip-range=${NETWORK.services.ipv4},${NETWORK.services.ipv6}`,
    '--use-service-account-credentials=true',
    // With the default of 20 a second it takes 5 s until there is a service account for pods.
    '--kube-api-qps=500',
    '--kube-api-burst=500',
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ],
  'kube-scheduler': ({ files }) => [
    `--kubeconfig=${files}/kube-scheduler.kubeconfig`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ],
  kubelet: ({ files, name }) => [
    `--config=${files}/kubelet.json`,
    `--kubeconfig=${files}/kubelet.kubeconfig`,
    `--hostname-override=${name}`,
    `--node-ip=${NETWORK.node.ipv4},${NETWORK.node.ipv6}`,
  ],
  'kube-proxy': ({ files }) => [`--config=${files}/kube-proxy.json`],
  coredns: ({ files }) => [`-conf=${files}/Corefile`],
};
