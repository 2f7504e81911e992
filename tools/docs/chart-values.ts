// Every value of the Helm chart, once: values.yaml, values.schema.json and the table in the chart's README are made of it.
import type { OptionTable, ValueSchema } from '../../lib/options.ts';
import { AGENT_OPTIONS } from '../../node-agent/agent-options.ts';
import { OPTIONS } from '../../webhook/webhook-options.ts';

/** One value of the chart. */
export interface ChartValue {
  /** Keys with dots between. */
  path: string;
  help: string;
  /** JSON Schema. */
  schema: ValueSchema | Record<string, unknown>;
  /** What values.yaml has; undefined where the program's own default counts. */
  default?: unknown;
  /** The program's own default, which values.yaml shows as a comment. */
  programDefault?: unknown;
}

/** Options of the webhook that are no values, each with the reason. */
export const NO_VALUES_OF_WEBHOOK: Partial<Record<keyof typeof OPTIONS, string>> = {
  'listen-address': 'in a cluster it is always ::',
  port: 'Service, NetworkPolicy and probes name it',
  'metrics-port': 'Service, NetworkPolicy and probes name it',
  image: 'injected.image is put together by registry, repository, tag and digest',
  'node-mode': 'follows nodeAgent.enabled and nodeAgent.mode, so that webhook and agents are told the same',
  certificates: 'follows certManager.enabled',
  'ca-file': 'for one process without a cluster',
  'certificate-directory': 'the chart mounts the folder',
  kubeconfig: 'in a cluster it is always in-cluster',
};

/** Options of the node agent that are no values, each with the reason. */
export const NO_VALUES_OF_AGENT: Partial<Record<keyof typeof AGENT_OPTIONS, string>> = {
  'node-name': 'the kubelet fills it in',
  'node-mode': 'is nodeAgent.mode',
  'service-account': 'where every pod has its token',
  mode: 'is options.mode, for webhook and agents alike',
  protocol: 'is options.protocol, for webhook and agents alike',
  'on-drift': 'is options.onDrift, for webhook and agents alike',
  rescue: 'is options.rescue, for webhook and agents alike',
  resets: 'is nodeAgent.resets, which mounts tracefs too',
  'cni-cache': 'the chart mounts the folder',
  'netns-folder': 'the chart mounts the folder',
  'proc-sys-net': 'the chart mounts the folder',
  port: 'NetworkPolicy, PodMonitor and probes name it',
};

/** `on-drift` is the value `onDrift`. */
export const valueName = (option: string) => option.replaceAll(/-./g, ([, letter = '']) => letter.toUpperCase());

function optionValues(path: string, table: OptionTable, left: Record<string, string>): ChartValue[] {
  return Object.entries(table)
    .filter(([name]) => !(name in left))
    .map(([name, { env, help, schema, default: programDefault }]) => {
      // The templates make the variable's name of the value's.
      const wanted = `INVALID_DROP_${name.replaceAll('-', '_').toUpperCase()}`;
      if (env !== wanted) throw new TypeError(`the chart's template would call ${env} ${wanted}`);
      return { path: `${path}.${valueName(name)}`, help, schema, programDefault };
    });
}

const switchedOff = (path: string, help: string): ChartValue => ({
  path,
  help,
  schema: { type: 'boolean' },
  default: false,
});

const text = (pattern: string) => ({ type: 'string', pattern });
const listOfObjects = { type: 'array', items: { type: 'object' } };
const texts = { type: 'object', additionalProperties: { type: 'string' } };
/** Keys that match are refused. */
const textsWithout = (pattern: string) => ({ ...texts, patternProperties: { [pattern]: false } });

function image(path: string, repository: string, what: string): ChartValue[] {
  return [
    {
      path: `${path}.registry`,
      help: `Registry of the image ${what}, with its path. Empty: global.imageRegistry.`,
      schema: text('^([\\w.-]+(:[0-9]+)?(/[\\w./-]+)?)?$'),
      default: '',
    },
    {
      path: `${path}.repository`,
      help: 'Its name there.',
      schema: text('^[a-z0-9][a-z0-9._/-]*$'),
      default: repository,
    },
    {
      path: `${path}.tag`,
      help: "Its tag. Empty: the chart's appVersion.",
      schema: text('^([\\w][\\w.-]{0,127})?$'),
      default: '',
    },
    {
      path: `${path}.digest`,
      help: 'Its digest, which counts instead of the tag: a tag can be moved to other contents.',
      schema: text('^(sha256:[0-9a-f]{64})?$'),
      default: '',
    },
  ];
}

/** What both kinds of pods have. @param defaults by the name of the value */
function pods(path: string, defaults: Record<string, unknown>): ChartValue[] {
  const values: Record<string, Pick<ChartValue, 'help' | 'schema'>> = {
    resources: { help: 'Requests and limits of the container.', schema: { type: 'object' } },
    priorityClassName: { help: 'Priority class of the pods.', schema: { type: 'string' } },
    nodeSelector: { help: 'Labels of the nodes that the pods may run on.', schema: texts },
    tolerations: { help: 'Taints that the pods tolerate.', schema: listOfObjects },
    affinity: { help: 'Affinity of the pods.', schema: { type: 'object' } },
    podLabels: {
      help: 'More labels of the pods. Those by which they are selected cannot be set.',
      schema: textsWithout('^app\\.kubernetes\\.io/(name|component)$'),
    },
    podAnnotations: {
      help: 'More annotations of the pods. Those of AppArmor cannot be set: they would take the default profile away.',
      schema: textsWithout('^container\\.apparmor\\.security\\.beta\\.kubernetes\\.io/'),
    },
  };
  const nothing: Record<string, unknown> = { priorityClassName: '', tolerations: [] };
  return Object.entries(values).map(([name, value]) => ({
    path: `${path}.${name}`,
    ...value,
    default: defaults[name] ?? nothing[name] ?? {},
  }));
}

export const CHART_VALUES: ChartValue[] = [
  {
    path: 'global.imageRegistry',
    help: 'Registry of all images, with its path.',
    schema: text('^[\\w.-]+(:[0-9]+)?(/[\\w./-]+)?$'),
    default: 'localhost/invalid-drop',
  },
  {
    path: 'global.imagePullSecrets',
    help: 'Secrets of the namespace invalid-drop-system with which the pods there pull their images, as a list of `name: SECRET`.',
    schema: {
      type: 'array',
      items: {
        type: 'object',
        properties: { name: text('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$') },
        required: ['name'],
        additionalProperties: false,
      },
    },
    default: [],
  },
  {
    path: 'failurePolicy',
    help: 'Ignore: while the webhook does not answer, pods are created without the rule. Fail: they are refused in opted-in namespaces.',
    schema: { enum: ['Ignore', 'Fail'] },
    default: 'Ignore',
  },
  switchedOff(
    'certManager.enabled',
    'Whether cert-manager maintains certificate and caBundle. The webhook then has no rights on Secrets and its configuration.',
  ),
  switchedOff(
    'monitoring.enabled',
    'Whether to add ServiceMonitor, PodMonitors, alert rules and a Grafana dashboard, for the Prometheus operator.',
  ),
  {
    path: 'monitoring.labels',
    help: 'More labels of these objects, by which your Prometheus selects them, such as `release: kube-prometheus-stack`.',
    schema: textsWithout('^app\\.kubernetes\\.io/'),
    default: {},
  },
  {
    path: 'networkPolicy.apiServerPorts',
    help: 'TCP ports of the API server that the pods may reach.',
    schema: { type: 'array', minItems: 1, items: { type: 'integer', minimum: 1, maximum: 65535 } },
    default: [443, 6443, 8443],
  },
  ...optionValues('options', OPTIONS, NO_VALUES_OF_WEBHOOK),
  ...image('injected.image', 'init-image', 'of the containers in guarded pods'),
  ...image('webhook.image', 'webhook', 'of the webhook'),
  {
    path: 'webhook.replicas',
    help: 'Replicas of the webhook. null: 2, and 3 where failurePolicy is Fail.',
    schema: { type: ['integer', 'null'], minimum: 1, maximum: 100 },
    default: null,
  },
  ...pods('webhook', {
    resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '256Mi' } },
  }),
  switchedOff(
    'nodeAgent.enabled',
    'Whether node agents run. Their pods need a namespace without Pod Security baseline or restricted.',
  ),
  {
    path: 'nodeAgent.mode',
    help: AGENT_OPTIONS['node-mode'].help,
    schema: AGENT_OPTIONS['node-mode'].schema,
    default: AGENT_OPTIONS['node-mode'].default,
  },
  switchedOff(
    'nodeAgent.legacyIptables',
    'Whether pods on the nodes have tables of iptables-legacy. true: agents get CAP_NET_RAW as well.',
  ),
  switchedOff(
    'nodeAgent.resets',
    "Whether agents count every reset of the node's pods, with its cause. Mounts the node's tracefs.",
  ),
  ...optionValues('nodeAgent.options', AGENT_OPTIONS, NO_VALUES_OF_AGENT),
  ...image('nodeAgent.image', 'node-agent', 'of the node agents'),
  ...pods('nodeAgent', {
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    priorityClassName: 'system-node-critical',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
  }),
];

/** What the groups of values are for. */
export const CHART_GROUPS: Record<string, string> = {
  options: 'Options of the webhook. mode, protocol, onDrift and rescue are also those of the node agents.',
  'nodeAgent.options': 'Options of the node agents only.',
};
