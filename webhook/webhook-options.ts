// Every option of the webhook: flag, environment variable, default, allowed values. --help and the docs print it.
import { NODE_MODE_VARIABLE, NODE_MODES, POD_OPTIONS, VERSION } from '../lib/contract.ts';
import { duration, type Option, type OptionValues, oneOf, textLike, wholeNumber } from '../lib/options.ts';
import { CHECKER_PORT_OPTION, SWITCH } from '../lib/pod/pod-options.ts';
import { boundOf, boundOption, containerResources, resourcesOption } from './admission/container-resources.ts';
import type { InjectionSettings } from './admission/containers.ts';

const { mode, protocol, onDrift, rescue } = POD_OPTIONS;
const ADDRESS = /^[0-9A-Za-z.:_-]{1,253}$/;
const PORTS = /^(\d{1,5}(,\d{1,5})*)?$/;
const IMAGE = /^[\w][\w.:/@-]{0,511}$/;
/** A DNS subdomain, as names of Secrets are. */
const SECRET_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const MAX_PULL_SECRETS = 10;
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;

export const OPTIONS = {
  'listen-address': textLike(ADDRESS, 'an IP address or host name', {
    env: 'INVALID_DROP_LISTEN_ADDRESS',
    help: 'Address of both ports. In a cluster use :: (all addresses).',
    default: '127.0.0.1',
  }),
  port: wholeNumber(0, 65535, {
    env: 'INVALID_DROP_PORT',
    help: 'HTTPS port of POST /mutate. 0 selects a free port.',
    default: 8443,
  }),
  'metrics-port': wholeNumber(0, 65535, {
    env: 'INVALID_DROP_METRICS_PORT',
    help: 'Plain HTTP port of the status page (/), /metrics, /healthz, /readyz, /selfcheck and /coverage. 0 selects a free port.',
    default: 8080,
  }),
  image: textLike(IMAGE, 'an image reference', {
    env: 'INVALID_DROP_IMAGE',
    help: 'Image of the containers in the pods.',
    default: `localhost/invalid-drop/init-image:${VERSION}`,
  }),
  mode: oneOf(mode.values, {
    env: 'INVALID_DROP_MODE',
    help: 'For pods without the annotation. enforce: an unguarded pod is not Ready. observe: nothing is blocked.',
    default: mode.values[0],
  }),
  protocol: oneOf(protocol.values, {
    env: 'INVALID_DROP_PROTOCOL',
    help: "For pods without the annotation. tcp: only TCP is dropped. all: every protocol, as Istio's rule up to 1.23.",
    default: protocol.values[0],
  }),
  'on-drift': oneOf(onDrift.values, {
    env: 'INVALID_DROP_ON_DRIFT',
    help: 'For pods without the annotation. What the checker does when INVALID packets are no longer dropped.',
    default: onDrift.values[0],
  }),
  rescue: oneOf(rescue.values, {
    env: 'INVALID_DROP_RESCUE',
    help: 'For pods without the annotation. Whether connections that had stray segments are made liberal in conntrack.',
    default: rescue.values[0],
  }),
  checker: oneOf(SWITCH, {
    env: 'INVALID_DROP_CHECKER',
    help: 'For pods without the annotation. disabled: an init container only, which installs the rule.',
    default: SWITCH[0],
  }),
  'checker-port': CHECKER_PORT_OPTION,
  'native-sidecars': oneOf(SWITCH, {
    env: 'INVALID_DROP_NATIVE_SIDECARS',
    help: 'Whether the cluster runs init containers with restartPolicy Always (Kubernetes 1.29 and later).',
    default: SWITCH[0],
  }),
  'legacy-iptables': oneOf(SWITCH, {
    env: 'INVALID_DROP_LEGACY_IPTABLES',
    help: 'Whether nodes use iptables-legacy. enabled: our containers get CAP_NET_RAW as well.',
    default: 'disabled',
  }),
  'node-mode': oneOf(NODE_MODES, {
    env: NODE_MODE_VARIABLE,
    help: 'Whether node agents run, and which namespaces they guard. available: those with the label value node. default: those with enabled, too.',
    default: NODE_MODES[0],
  }),
  'init-resources': resourcesOption({
    env: 'INVALID_DROP_INIT_RESOURCES',
    // A whole core: the application waits for it, and it runs for a tenth of a second.
    help: 'For pods without the annotation. Requests and limits of the init container, where there is one: without native sidecars, or without the checker.',
    default: 'cpu=10m:1,memory=32Mi:128Mi',
  }),
  'checker-resources': resourcesOption({
    env: 'INVALID_DROP_CHECKER_RESOURCES',
    // The application waits for the install at its start; later it needs a thousandth. A quota counts the limit for the pod's life.
    help: 'For pods without the annotation. Requests and limits of the checker, which installs the rule, too, where the cluster has native sidecars.',
    default: 'cpu=10m:500m,memory=32Mi:128Mi',
  }),
  'max-resources': boundOption({
    env: 'INVALID_DROP_MAX_RESOURCES',
    help: 'The most that the annotations init-resources and checker-resources may ask for, each.',
    default: 'cpu=1,memory=512Mi,ephemeral-storage=1Gi',
  }),
  'mesh-exclude-inbound-ports': textLike(PORTS, 'port numbers with commas between, or nothing', {
    env: 'INVALID_DROP_MESH_EXCLUDE_INBOUND_PORTS',
    help: "The mesh's own list of ports, which a pod's annotation replaces (Istio: Helm value global.proxy.excludeInboundPorts). Empty: as the mesh's chart has it.",
    default: '',
  }),
  'image-pull-secrets': secretNames({
    env: 'INVALID_DROP_IMAGE_PULL_SECRETS',
    help: 'Pull secrets that pods get beside the container, for a registry that asks for a password. Each of their namespaces must have Secrets of these names.',
    default: [],
  }),
  'body-limit': wholeNumber(1024, 64 * 1024 * 1024, {
    env: 'INVALID_DROP_BODY_LIMIT',
    // etcd stores 1.5 MiB; in JSON a pod is larger, by its field names and by escapes.
    help: 'Largest AdmissionReview, in bytes. Eight of this size may be in memory at once.',
    default: 4 * 1024 * 1024,
  }),
  certificates: oneOf(['memory', 'secret', 'directory'], {
    env: 'INVALID_DROP_CERTIFICATES',
    help: 'memory: created at the start, for one process without a cluster. secret: created and renewed by the replicas, in one Secret. directory: maintained by another program, such as cert-manager.',
    default: 'memory',
  }),
  'ca-file': textLike(/^[^\0]+$/, 'a path', {
    env: 'INVALID_DROP_CA_FILE',
    help: 'For memory: file for the CA certificate, for clients. Its folder is created.',
    default: '.run/ca.pem',
  }),
  'certificate-directory': textLike(/^[^\0]+$/, 'a path', {
    env: 'INVALID_DROP_CERTIFICATE_DIRECTORY',
    help: 'For directory: the folder of tls.crt and tls.key.',
    default: '/etc/invalid-drop/tls',
  }),
  'certificate-life': duration({
    env: 'INVALID_DROP_CERTIFICATE_LIFE',
    help: 'For secret: how long a serving certificate is valid. It is renewed after two thirds of this time.',
    default: '90d',
  }),
  'ca-life': duration({
    env: 'INVALID_DROP_CA_LIFE',
    help: 'For secret: how long the CA is valid. It is replaced after two thirds of this time.',
    default: '1825d',
  }),
  kubeconfig: textLike(/^[^\0]*$/, 'a path, in-cluster, or nothing', {
    env: 'INVALID_DROP_KUBECONFIG',
    help: 'Cluster to work in: a kubeconfig file, or in-cluster for the service account. Empty: none.',
    default: '',
  }),
  coverage: oneOf(SWITCH, {
    env: 'INVALID_DROP_COVERAGE',
    help: 'Whether to watch the pods of opted-in namespaces and report which are guarded. Needs a cluster.',
    default: SWITCH[0],
  }),
  events: oneOf(SWITCH, {
    env: 'INVALID_DROP_EVENTS',
    help: 'Whether to write an Event for the owner of an unguarded pod. Needs coverage.',
    default: SWITCH[0],
  }),
  collect: oneOf(SWITCH, {
    env: 'INVALID_DROP_COLLECT',
    help: 'Whether each replica asks the checkers of guarded pods, and the node agents, for drops, rescues, drift and peers, for the status page: five questions a second, each pod once a minute at most. Needs coverage.',
    default: SWITCH[0],
  }),
  'drain-seconds': wholeNumber(0, 300, {
    env: 'INVALID_DROP_DRAIN_SECONDS',
    help: 'How long to keep serving after SIGTERM, until API servers use other replicas.',
    default: 10,
  }),
  'log-level': oneOf(LEVELS, {
    env: 'INVALID_DROP_LOG_LEVEL',
    help: 'Least severe log lines to print. debug has one for each pod that gets the containers or the readiness gate, too.',
    default: 'info',
  }),
};

export type Configuration = OptionValues<typeof OPTIONS>;

/** The part of the configuration that decides what goes into pods. */
export function injectionSettings(configuration: Configuration): InjectionSettings {
  return {
    image: configuration.image,
    version: VERSION,
    options: {
      mode: configuration.mode,
      protocol: configuration.protocol,
      onDrift: configuration['on-drift'],
      rescue: configuration.rescue,
      checker: configuration.checker,
      port: configuration['checker-port'],
    },
    nativeSidecars: configuration['native-sidecars'] === 'enabled',
    legacyIptables: configuration['legacy-iptables'] === 'enabled',
    nodeMode: configuration['node-mode'],
    initResources: containerResources(configuration['init-resources']),
    checkerResources: containerResources(configuration['checker-resources']),
    maxResources: boundOf(configuration['max-resources']),
    meshExcludeInboundPorts: configuration['mesh-exclude-inbound-ports'],
    imagePullSecrets: configuration['image-pull-secrets'],
  };
}

/** An option whose value is a list of names of Secrets; each counts once. */
function secretNames(described: Pick<Option<string[]>, 'env' | 'help' | 'default'>): Option<string[]> {
  const parse = (text: string) => {
    const names = text === '' ? [] : [...new Set(text.split(','))];
    return names.length <= MAX_PULL_SECRETS && names.every((name) => SECRET_NAME.test(name)) ? names : undefined;
  };
  const allowed = `up to ${MAX_PULL_SECRETS} names of Secrets with commas between, or nothing`;
  const items = { type: 'string', pattern: SECRET_NAME.source } as const;
  return { ...described, allowed, schema: { type: 'array', items, maxItems: MAX_PULL_SECRETS }, parse };
}
