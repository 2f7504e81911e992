// Istio as it is installed for tests: the settings as istioctl takes them, and what stands beside it: mutual TLS
// everywhere, and a gateway that routes by host name.

import { writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import type { Layout } from '../cluster/cluster-layout.ts';
import { enterNetwork, environmentOf, kubectl } from '../cluster/cluster-node.ts';
import { mountNodeProc, nodeProc } from './ambient-node.ts';
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
 * @param cni directories of the node's CNI programs and configuration, and its /proc
 */
export function operator(settings: MeshSettings, cni: { bin: string; conf: string; proc: string }): object {
  const { dataplane, interception, nftables, nativeSidecars } = settings;
  const withCni = dataplane !== 'init';
  const ambient = dataplane === 'ambient';
  return {
    apiVersion: 'install.istio.io/v1alpha1',
    kind: 'IstioOperator',
    spec: {
      profile: 'minimal',
      hub: HUB,
      tag: TAG,
      components: {
        cni: {
          enabled: withCni,
          namespace: 'istio-system',
          ...(ambient ? { k8s: { overlays: [onNode(cni.proc)] } } : {}),
        },
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
          env: {
            ...PLAIN_ENVOY,
            ENABLE_NATIVE_SIDECARS: `${nativeSidecars}`,
            ...(ambient ? { PILOT_ENABLE_AMBIENT: 'true' } : {}),
          },
        },
        gateways: { 'istio-ingressgateway': { autoscaleEnabled: false, resources: SMALL } },
        cni: {
          cniBinDir: cni.bin,
          cniConfDir: cni.conf,
          cniNetnsDir: '/run/netns',
          ambient: { enabled: ambient },
          // Its search leaves empty tables of iptables-legacy behind, and takes these for rules after a restart.
          ...(ambient ? { env: { FORCE_IPTABLES_BINARY: 'nft' } } : {}),
          resources: SMALL,
        },
      },
      // The node is a network namespace here. That of this machine, which istio-cni enters otherwise, is not the node's.
      unvalidatedValues: { cni: { ambient: { shareHostNetworkNamespace: ambient } } },
    },
  };
}

/** What its chart cannot say: which directory istio-cni has as the node's /proc. */
function onNode(proc: string): object {
  const path = 'spec.template.spec.volumes.[name:cni-host-procfs].hostPath.path';
  return { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'istio-cni-node', patches: [{ path, value: proc }] };
}

/** The namespace of Istio's own parts. */
export const ISTIO_NAMESPACE = 'istio-system';
/** By name, for objects of other namespaces. */
export const GATEWAY = `${ISTIO_NAMESPACE}/uploads`;

/** As a list to apply. */
export function gatewayObjects(): object {
  const items = [
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: ISTIO_NAMESPACE },
      spec: { mtls: { mode: 'STRICT' } },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'uploads', namespace: ISTIO_NAMESPACE },
      spec: {
        selector: { istio: 'ingressgateway' },
        servers: [{ port: { number: PORT, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

/** A Service for the pods with the label `app`, and the route from the gateway to it. */
export function routeObjects(namespace: string, app: string): object[] {
  const host = `${app}.${namespace}`;
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: app, namespace },
      spec: { selector: { app }, ports: [{ name: 'http', port: PORT }] },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: app, namespace },
      spec: {
        hosts: [host],
        gateways: [GATEWAY],
        http: [
          {
            route: [{ destination: { host: `${host}.svc.cluster.local`, port: { number: PORT } } }],
            // A reset must be visible: a retry would hide it.
            retries: { attempts: 0 },
          },
        ],
      },
    },
  ];
}

const INSTALL_LIMIT = 300_000;

/** Installs it with these settings and waits until all of it is Ready. Istio removes what earlier settings had made. */
export async function installIstio(layout: Layout, istioctl: string, settings: MeshSettings): Promise<void> {
  const file = `${layout.files}/istio.json`;
  if (settings.dataplane === 'ambient') await mountNodeProc(layout);
  await writeFile(file, JSON.stringify(operator(settings, { ...layout.cni, proc: nodeProc(layout) })));
  const [program = '', ...args] = enterNetwork(layout, [istioctl, 'install', '--skip-confirmation', '-f', file]);
  // Its cache of what the API server has goes to the home directory.
  await must(program, args, { env: { ...environmentOf(layout), HOME: layout.state }, limit: INSTALL_LIMIT });
  await kubectl(layout, ['apply', '-f', '-'], { input: JSON.stringify(gatewayObjects()) });
}
