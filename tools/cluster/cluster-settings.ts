// The settings of a cluster, read once from the environment.
import { oneOf, readOptions, textLike, wholeNumber } from '../../lib/options.ts';
import { MAX_NODES } from './cluster-layout.ts';

const OPTIONS = {
  name: textLike(/^[a-z][a-z0-9-]{0,30}$/, 'up to 31 lower-case letters, digits and "-"', {
    env: 'CLUSTER',
    help: 'Name of the cluster, for there can be several.',
    default: 'invalid-drop',
  }),
  nodes: wholeNumber(1, MAX_NODES, { env: 'NODES', help: 'Number of nodes.', default: 1 }),
  'user-namespaces': oneOf(['false', 'true'], {
    env: 'USER_NAMESPACES',
    help: 'Whether the second node has a container runtime that knows user namespaces, which is built.',
    default: 'false',
  }),
  'kube-proxy-mode': oneOf(['nftables', 'iptables'], {
    env: 'KUBE_PROXY_MODE',
    help: 'Mode of kube-proxy.',
    default: 'nftables',
  }),
  'kube-proxy-be-liberal': oneOf(['false', 'true'], {
    env: 'KUBE_PROXY_BE_LIBERAL',
    help: 'Whether kube-proxy sets conntrack of the node to be liberal.',
    default: 'false',
  }),
  assets: textLike(/^/, 'a directory', {
    env: 'KUBEBUILDER_ASSETS',
    help: 'Directory whose Kubernetes programs are taken before those on PATH.',
    default: '',
  }),
};

export interface Settings {
  name: string;
  nodes: number;
  /** Of the second node. */
  userNamespaces: boolean;
  kubeProxyMode: 'nftables' | 'iptables';
  beLiberal: boolean;
  /** Directory with Kubernetes programs; empty where there is none. */
  assets: string;
  /** Directories of PATH. */
  path: string[];
  /** Directory outside the tree where built programs are kept. */
  cache: string;
}

/**
 * @param env the process's environment
 * @throws CodedError OPTION_INVALID
 */
export function readSettings(env: Record<string, string | undefined>): Settings {
  const { values } = readOptions(OPTIONS, [], env);
  return {
    name: values.name,
    nodes: values.nodes,
    userNamespaces: values['user-namespaces'] === 'true',
    kubeProxyMode: values['kube-proxy-mode'],
    beLiberal: values['kube-proxy-be-liberal'] === 'true',
    assets: values.assets,
    path: (env['PATH'] ?? '').split(':').filter((directory) => directory.startsWith('/')),
    cache: `${env['XDG_CACHE_HOME'] || `${env['HOME'] || '/root'}/.cache`}/invalid-drop`,
  };
}
