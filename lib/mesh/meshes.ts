// The meshes whose redirection has this bug: how each is recognised, how a port is kept out of its proxy, what it does to
// probes, and its own rule against INVALID packets. One table for admission, `--explain`, preflight and the documentation.
// Every fact was read in the files that `read` names; nothing is guessed.

/** A label or an annotation by which a mesh knows that it is to inject a pod. The pod's own counts before the namespace's. */
export interface InjectionMark {
  on: 'pod' | 'namespace';
  kind: 'label' | 'annotation';
  name: string;
  /** Values that turn injection on; `any`: each value that is not empty does. */
  values: readonly string[] | 'any';
}

/** Names of containers that a mesh's injector adds. None is a name that pods are likely to have without the mesh. */
export interface MeshContainers {
  /** Writes the rules, with ports that were fixed at injection. */
  init: readonly string[];
  /** Waits for rules that the mesh's CNI plugin writes at the pod's start. */
  waiting: readonly string[];
  proxy: readonly string[];
}

/** The annotation of a pod by which inbound ports stay out of the proxy, as a list with commas. */
export interface PortExemption {
  /** What becomes of the mesh's own list where a pod has the annotation: it replaces the list, or adds to it. */
  meshList: 'replaced' | 'kept';
  /** The mesh's own list, as its Helm chart has it. */
  meshDefault: string;
  /** Whether the annotation counts on the namespace, too, for pods that have none. */
  onNamespace: boolean;
  /** When it is read, for people. */
  readAt: string;
}

/** A mesh's own rule against INVALID packets. */
export interface OwnInvalidRule {
  setting: string;
  /** Where the rule is put. */
  place: string;
  /** What it lacks. */
  limits: string;
}

/** What becomes of a probe over HTTP, in a container that the mesh's injector sees. */
export interface ProbeTreatment {
  /** Short, for people. */
  does: string;
  /** Whether it does so to init containers with restartPolicy Always, too. */
  sidecars: boolean;
}

export interface Mesh {
  /** As its users call it. */
  title: string;
  /** Version that the facts were read in, and the files: repository, then path. */
  read: { version: string; files: readonly string[] };
  containers: MeshContainers;
  marks: readonly InjectionMark[];
  /** Label that every pod with its proxy has. */
  podLabel: string | undefined;
  /** Names of the webhook configuration of its injector. */
  injector: RegExp | undefined;
  /** Label of the Deployment whose image tells the mesh's version. */
  controlPlane: string | undefined;
  /** Whether its injector is called before ours or after: API servers call them in the order of their names. */
  order: string;
  /** TCP port that inbound connections are redirected to, and the uid of the proxy. */
  inboundPort: number;
  proxyUid: number;
  /** Chains that its rules redirect inbound connections in, or tables of nftables. */
  chains: readonly string[];
  /** Pod annotation that keeps inbound ports out of the proxy, as a list with commas. */
  exemptPorts: string | undefined;
  exemption: PortExemption | undefined;
  probes: ProbeTreatment;
  /** undefined: it has none. */
  ownRule: OwnInvalidRule | undefined;
  /** What of it invalid-drop was tested with. */
  tested: string;
}

const ISTIO = 'istio/istio';
const LINKERD = 'linkerd/linkerd2';
const LINKERD_INIT = 'linkerd/linkerd2-proxy-init';
const KUMA = 'kumahq/kuma';
const CONSUL = 'hashicorp/consul-k8s';
const OSM = 'openservicemesh/osm';

/** Values that the programs of Kuma and of OSM take for true. */
const YES = ['enabled', 'yes', 'true'] as const;
/** What Go's strconv.ParseBool takes for true. */
const PARSE_BOOL = ['1', 't', 'T', 'TRUE', 'true', 'True'] as const;

export const MESHES = {
  istio: {
    title: 'Istio',
    read: {
      version: '1.31',
      files: [
        `${ISTIO} manifests/charts/istio-control/istio-discovery/files/injection-template.yaml`,
        `${ISTIO} manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml`,
        `${ISTIO} tools/istio-iptables/pkg/capture/run.go`,
        `${ISTIO} cni/pkg/plugin/sidecar_redirect.go`,
      ],
    },
    containers: { init: ['istio-init'], waiting: ['istio-validation'], proxy: ['istio-proxy'] },
    marks: [
      { on: 'pod', kind: 'label', name: 'sidecar.istio.io/inject', values: ['true'] },
      { on: 'namespace', kind: 'label', name: 'istio-injection', values: ['enabled'] },
      { on: 'namespace', kind: 'label', name: 'istio.io/rev', values: 'any' },
    ],
    podLabel: 'security.istio.io/tlsMode=istio',
    injector: /^istio-(sidecar-injector|revision-tag)/,
    controlPlane: 'app=istiod',
    order: 'after ours',
    inboundPort: 15_006,
    proxyUid: 1337,
    chains: ['ISTIO_INBOUND', 'ISTIO_IN_REDIRECT', 'ISTIO_TPROXY', 'istio-proxy-nat', 'istio-proxy-mangle'],
    exemptPorts: 'traffic.sidecar.istio.io/excludeInboundPorts',
    exemption: {
      meshList: 'replaced',
      meshDefault: '',
      onNamespace: false,
      readAt: "at injection; with istio-cni at the pod's start",
    },
    probes: { does: 'sends HTTP, TCP and gRPC probes through its agent', sidecars: true },
    ownRule: {
      setting: 'proxyMetadata `INVALID_DROP`, off by default',
      place: 'at the end of mangle PREROUTING',
      limits: 'none in ambient mode; IPv6 only where the first address of the pod is IPv6, or dual stack is declared',
    },
    tested: 'a whole Istio on a cluster',
  },
  'istio-ambient': {
    title: 'Istio ambient',
    read: {
      version: '1.31',
      files: [`${ISTIO} cni/pkg/iptables/iptables.go`, `${ISTIO} cni/pkg/nftables/nftables.go`],
    },
    containers: { init: [], waiting: [], proxy: [] },
    marks: [
      { on: 'pod', kind: 'label', name: 'istio.io/dataplane-mode', values: ['ambient'] },
      { on: 'namespace', kind: 'label', name: 'istio.io/dataplane-mode', values: ['ambient'] },
    ],
    podLabel: undefined,
    injector: undefined,
    controlPlane: undefined,
    order: 'no injector',
    inboundPort: 15_006,
    // Its ztunnel marks its packets, and no rule asks for a uid.
    proxyUid: 0,
    chains: ['ISTIO_PRERT', 'istio-ambient-nat'],
    exemptPorts: undefined,
    exemption: undefined,
    probes: { does: 'lets probes of the kubelet pass, by their source address', sidecars: true },
    ownRule: undefined,
    tested: 'istio-cni and its rules on a cluster, with a stand-in for ztunnel',
  },
  linkerd: {
    title: 'Linkerd',
    read: {
      version: '2.20 (proxy-init 2.4.9)',
      files: [
        `${LINKERD} charts/partials/templates/_proxy-init.tpl`,
        `${LINKERD} charts/linkerd-control-plane/values.yaml`,
        `${LINKERD} charts/linkerd-control-plane/templates/proxy-injector-rbac.yaml`,
        `${LINKERD} charts/patch/templates/patch.json`,
        `${LINKERD} pkg/inject/inject.go`,
        `${LINKERD} policy-controller/k8s/index/src/inbound/workload.rs`,
        `${LINKERD_INIT} pkg/iptables/iptables.go`,
        `${LINKERD_INIT} cni-plugin/main.go`,
      ],
    },
    containers: { init: ['linkerd-init'], waiting: ['linkerd-network-validator'], proxy: ['linkerd-proxy'] },
    marks: [
      { on: 'pod', kind: 'annotation', name: 'linkerd.io/inject', values: ['enabled', 'ingress'] },
      { on: 'namespace', kind: 'annotation', name: 'linkerd.io/inject', values: ['enabled', 'ingress'] },
    ],
    podLabel: 'linkerd.io/control-plane-ns',
    injector: /^linkerd-proxy-injector/,
    controlPlane: 'linkerd.io/control-plane-component=proxy-injector',
    order: 'after ours',
    inboundPort: 4143,
    proxyUid: 2102,
    chains: ['PROXY_INIT_REDIRECT'],
    exemptPorts: 'config.linkerd.io/skip-inbound-ports',
    exemption: {
      meshList: 'replaced',
      meshDefault: '4567,4568',
      onNamespace: true,
      readAt: "at injection; with linkerd-cni at the pod's start",
    },
    probes: { does: 'leaves them, and lets their paths pass unless a policy forbids plain HTTP', sidecars: true },
    ownRule: undefined,
    tested: 'its rules, rebuilt from its sources, and those that its own program of 2022 (proxy-init 1.6.2) writes',
  },
  kuma: {
    title: 'Kuma',
    read: {
      version: '2.14.3',
      files: [
        `${KUMA} pkg/plugins/runtime/k8s/webhooks/injector/injector.go`,
        `${KUMA} pkg/plugins/runtime/k8s/metadata/annotations.go`,
        `${KUMA} pkg/plugins/runtime/k8s/probes/pod_probe_overrider.go`,
        `${KUMA} pkg/transparentproxy/kubernetes/kubernetes.go`,
        `${KUMA} pkg/transparentproxy/iptables/builder/builder_table_mangle.go`,
        `${KUMA} pkg/transparentproxy/config/config.go`,
        `${KUMA} deployments/charts/kuma/templates/cp-webhooks-and-secrets.yaml`,
      ],
    },
    containers: { init: ['kuma-init'], waiting: ['kuma-validation'], proxy: ['kuma-sidecar'] },
    marks: [
      { on: 'pod', kind: 'label', name: 'kuma.io/sidecar-injection', values: YES },
      { on: 'namespace', kind: 'label', name: 'kuma.io/sidecar-injection', values: YES },
    ],
    podLabel: 'kuma.io/mesh',
    injector: /^(kuma|kong-mesh)-admission-mutating/,
    controlPlane: 'app=kuma-control-plane',
    order: 'after ours',
    inboundPort: 15_006,
    proxyUid: 5678,
    chains: ['KUMA_MESH_INBOUND', 'KUMA_MESH_INBOUND_REDIRECT'],
    exemptPorts: 'traffic.kuma.io/exclude-inbound-ports',
    exemption: {
      meshList: 'replaced',
      meshDefault: '',
      onNamespace: false,
      readAt: "at injection; with kuma-cni, and without its ConfigMap, at the pod's start",
    },
    probes: { does: 'sends HTTP, TCP and gRPC probes through its agent', sidecars: true },
    ownRule: {
      setting: '`dropInvalidPackets`, or the annotation `traffic.kuma.io/drop-invalid-packets`, off by default',
      place: 'at the end of mangle PREROUTING',
      limits: 'left out, with nothing said, where iptables-save shows no mangle table',
    },
    tested: 'its rules, rebuilt from its sources, and those that its own program of 2022 (1.8.1) writes',
  },
  consul: {
    title: 'Consul',
    read: {
      version: 'consul-k8s 2.0.3 (consul/sdk 0.18.2)',
      files: [
        `${CONSUL} control-plane/connect-inject/webhook/mesh_webhook.go`,
        `${CONSUL} control-plane/connect-inject/webhook/redirect_traffic.go`,
        `${CONSUL} control-plane/connect-inject/webhook/container_init.go`,
        `${CONSUL} control-plane/connect-inject/controllers/endpoints/endpoints_controller.go`,
        `${CONSUL} charts/consul/templates/connect-inject-mutatingwebhookconfiguration.yaml`,
        'hashicorp/consul sdk/iptables/iptables.go',
      ],
    },
    containers: { init: ['consul-connect-inject-init'], waiting: [], proxy: ['consul-dataplane'] },
    marks: [{ on: 'pod', kind: 'annotation', name: 'consul.hashicorp.com/connect-inject', values: PARSE_BOOL }],
    podLabel: 'consul.hashicorp.com/connect-inject-status=injected',
    injector: /connect-injector$/,
    controlPlane: 'component=connect-injector',
    order: 'before ours, with a Helm release named consul',
    inboundPort: 20_000,
    proxyUid: 5995,
    chains: ['CONSUL_PROXY_INBOUND', 'CONSUL_PROXY_IN_REDIRECT'],
    exemptPorts: 'consul.hashicorp.com/transparent-proxy-exclude-inbound-ports',
    exemption: {
      meshList: 'kept',
      meshDefault: '',
      onNamespace: false,
      readAt: 'at injection, with its CNI plugin too',
    },
    probes: { does: 'sends HTTP probes of containers beside the application to ports of its proxy', sidecars: false },
    ownRule: undefined,
    tested: 'the rules that its own program writes',
  },
  osm: {
    title: 'Open Service Mesh',
    read: {
      version: '1.2.4',
      files: [
        `${OSM} pkg/injector/webhook.go`,
        `${OSM} pkg/injector/patch.go`,
        `${OSM} pkg/injector/exclusions.go`,
        `${OSM} pkg/injector/iptables.go`,
        `${OSM} pkg/injector/health_probes.go`,
        `${OSM} pkg/constants/constants.go`,
      ],
    },
    containers: { init: ['osm-init'], waiting: [], proxy: [] },
    marks: [
      { on: 'pod', kind: 'annotation', name: 'openservicemesh.io/sidecar-injection', values: YES },
      { on: 'namespace', kind: 'annotation', name: 'openservicemesh.io/sidecar-injection', values: YES },
    ],
    podLabel: 'osm-proxy-uuid',
    injector: /^osm-webhook/,
    controlPlane: 'app=osm-injector',
    order: 'after ours',
    inboundPort: 15_003,
    proxyUid: 1500,
    chains: ['OSM_PROXY_INBOUND', 'OSM_PROXY_IN_REDIRECT'],
    exemptPorts: 'openservicemesh.io/inbound-port-exclusion-list',
    exemption: { meshList: 'kept', meshDefault: '', onNamespace: false, readAt: 'at injection' },
    probes: {
      does: 'sends HTTP probes of containers beside the application to one port for all, that of the last container',
      sidecars: false,
    },
    ownRule: undefined,
    tested: 'the rules that its own program writes',
  },
} as const satisfies Record<string, Mesh>;

export type MeshName = keyof typeof MESHES;

/** All names, in the order of the table. */
export const MESH_NAMES = Object.keys(MESHES) as MeshName[];

/** A mesh with the types of {@link Mesh}: those of the table are literal. */
export function meshOf(name: MeshName): Mesh {
  return MESHES[name];
}

/**
 * The mesh that has a chain of this name, or a table of nftables.
 * @param table family and name, such as `inet istio-proxy-nat`
 */
export function meshByChain(table: string, chain: string): MeshName | undefined {
  const names = [chain, table.slice(table.indexOf(' ') + 1)];
  return MESH_NAMES.find((mesh) => meshOf(mesh).chains.some((one) => names.includes(one)));
}
