// The mesh's settings as istioctl takes them.
import type { MeshSettings, PodMode } from './mesh-settings.ts';

/** Registry and tag of the images that are built here. */
export const HUB = 'localhost/invalid-drop-mesh';
export const TAG = '1.31';
/** The gateway listens on it, and so does the application: test/harness/traffic/upload.ts asks for it. */
export const PORT = 9000;

/** What a plain Envoy lacks: filters that only Istio's own build has. */
const PLAIN_ENVOY = {
  PILOT_ENABLE_METADATA_EXCHANGE: 'false',
  PILOT_ENABLE_ALPN_FILTER: 'false',
  PILOT_ENABLE_TELEMETRY_LABEL: 'false',
};
const SMALL = { requests: { cpu: '10m', memory: '32Mi' }, limits: null };

/** The environment of the proxy that says what a pod's mode is (proxyMetadata). */
export function proxyMetadata({ invalidDrop, dualStack }: Pick<PodMode, 'invalidDrop' | 'dualStack'>) {
  return {
    ...(invalidDrop ? { INVALID_DROP: 'true' } : {}),
    ...(dualStack ? { ISTIO_DUAL_STACK: 'true' } : {}),
  };
}

/** The annotations by which one pod has another mode than its mesh. */
export function podAnnotations(mode: PodMode): Record<string, string> {
  return {
    'sidecar.istio.io/interceptionMode': mode.interception,
    'sidecar.istio.io/nativeSidecar': `${mode.nativeSidecars}`,
    'proxy.istio.io/config': JSON.stringify({ proxyMetadata: proxyMetadata(mode) }),
  };
}

/**
 * The IstioOperator document for `istioctl install`.
 * @param cni directories of the node's CNI programs and configuration
 */
export function operator(settings: MeshSettings, cni: { bin: string; conf: string }): object {
  const { dataplane, interception, nftables, nativeSidecars } = settings;
  const withCni = dataplane === 'cni';
  return {
    apiVersion: 'install.istio.io/v1alpha1',
    kind: 'IstioOperator',
    spec: {
      profile: 'minimal',
      hub: HUB,
      tag: TAG,
      components: {
        cni: { enabled: withCni, namespace: 'istio-system' },
        ingressGateways: [{ name: 'istio-ingressgateway', enabled: true, k8s: { service: { type: 'ClusterIP' } } }],
      },
      meshConfig: {
        accessLogFile: '/dev/stdout',
        defaultProviders: {},
        defaultConfig: { interceptionMode: interception, proxyMetadata: proxyMetadata(settings) },
      },
      values: {
        global: {
          imagePullPolicy: 'IfNotPresent',
          nativeNftables: nftables,
          proxy: { resources: SMALL },
        },
        telemetry: { enabled: false },
        pilot: {
          resources: SMALL,
          autoscaleEnabled: false,
          cni: { enabled: withCni },
          env: { ...PLAIN_ENVOY, ENABLE_NATIVE_SIDECARS: `${nativeSidecars}` },
        },
        gateways: { 'istio-ingressgateway': { autoscaleEnabled: false, resources: SMALL } },
        cni: {
          cniBinDir: cni.bin,
          cniConfDir: cni.conf,
          cniNetnsDir: '/run/netns',
          resources: SMALL,
        },
      },
    },
  };
}
