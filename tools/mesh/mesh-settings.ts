// The settings of a mesh, read once from the environment.
import { oneOf, readOptions } from '../../lib/options.ts';

const YES_OR_NO = ['false', 'true'] as const;
const OPTIONS = {
  dataplane: oneOf(['init', 'cni', 'ambient'], {
    env: 'MESH_DATAPLANE',
    help:
      'Who installs the redirection: an init container in each pod, or the CNI plugin of Istio. `ambient` is the plugin, ' +
      'which takes pods into the ambient mode too.',
    default: 'init',
  }),
  interception: oneOf(['REDIRECT', 'TPROXY'], {
    env: 'MESH_INTERCEPTION',
    help: 'How inbound traffic reaches the sidecar.',
    default: 'REDIRECT',
  }),
  'native-sidecars': oneOf(YES_OR_NO, {
    env: 'MESH_NATIVE_SIDECARS',
    help: 'Whether the sidecar is an init container that stays.',
    default: 'true',
  }),
  nftables: oneOf(YES_OR_NO, {
    env: 'MESH_NFTABLES',
    help: 'Whether Istio writes nftables rules of its own rather than iptables rules.',
    default: 'false',
  }),
  'invalid-drop': oneOf(YES_OR_NO, {
    env: 'MESH_INVALID_DROP',
    help: "Istio's own INVALID_DROP.",
    default: 'false',
  }),
  'dual-stack': oneOf(YES_OR_NO, {
    env: 'MESH_DUAL_STACK',
    help: 'Whether Istio is told that pods have both families.',
    default: 'false',
  }),
};

/** What holds for a whole mesh; a pod's annotations can choose another `PodMode`. */
export interface MeshSettings extends PodMode {
  dataplane: 'init' | 'cni' | 'ambient';
  nftables: boolean;
}

/** What each pod can choose. */
export interface PodMode {
  interception: 'REDIRECT' | 'TPROXY';
  nativeSidecars: boolean;
  invalidDrop: boolean;
  dualStack: boolean;
}

/**
 * @param env the process's environment
 * @throws CodedError OPTION_INVALID
 */
export function readMeshSettings(env: Record<string, string | undefined>): MeshSettings {
  const { values } = readOptions(OPTIONS, [], env);
  return {
    dataplane: values.dataplane,
    interception: values.interception,
    nativeSidecars: values['native-sidecars'] === 'true',
    nftables: values.nftables === 'true',
    invalidDrop: values['invalid-drop'] === 'true',
    dualStack: values['dual-stack'] === 'true',
  };
}
