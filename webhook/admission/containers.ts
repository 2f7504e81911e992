// The two containers as they stand in a guarded pod. Every field that a pod-level security context, a quota or a
// LimitRange could reach is set here, for the pod's own settings are inherited otherwise.
import {
  CHECK_COMMAND,
  CHECKER_CONTAINER,
  CHECKER_PORT,
  CHECKER_PORT_VARIABLE,
  INIT_CONTAINER,
  INSTALL_COMMAND,
  type NodeMode,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import { type Option, textLike } from '../../lib/options.ts';
import type { PodOptions } from '../../lib/pod/pod-options.ts';
import type { PodLevelSettings } from '../../lib/pod/pod-view.ts';

/** What the webhook is configured to put into pods. */
export interface InjectionSettings {
  /** Image of both containers. Never a pod's choice: it would hand NET_ADMIN to any image that a pod author names. */
  image: string;
  /** Version of the webhook, for the status annotation. */
  version: string;
  /** Options of pods without annotations. */
  options: PodOptions;
  /** Whether the cluster runs init containers with restartPolicy Always (Kubernetes 1.29 and later). */
  nativeSidecars: boolean;
  /** Whether nodes use iptables-legacy, which asks for CAP_NET_RAW too. */
  legacyIptables: boolean;
  /** Whether there are node agents, and which namespaces they guard. */
  nodeMode: NodeMode;
  /** Of the init container and of the checker, but for what a pod budgets as a whole. */
  initResources: ContainerResources;
  checkerResources: ContainerResources;
  /**
   * Ports that the mesh excludes for pods without the annotation (Helm value global.proxy.excludeInboundPorts), or ''.
   */
  meshExcludeInboundPorts: string;
}

type Settings = Pick<InjectionSettings, 'image' | 'legacyIptables'>;
type InitSettings = Settings & Pick<InjectionSettings, 'initResources'>;
type CheckerSettings = Settings & Pick<InjectionSettings, 'checkerResources'>;

/**
 * The init container that installs the rule and ends.
 * @param level what the pod sets for all of its containers
 */
export function initContainer(level: PodLevelSettings, options: PodOptions, settings: InitSettings) {
  return {
    name: INIT_CONTAINER,
    command: INSTALL_COMMAND,
    ...common(level, options, settings),
    resources: resourcesWithin(level.budgeted, settings.initResources),
  };
}

/**
 * The container that stays and answers whether the rule still holds.
 * @param level as above
 * @param placement sidecar: an init container that keeps running; container: an ordinary one
 * @param probe how the kubelet asks it
 */
export function checkerContainer(
  level: PodLevelSettings,
  options: PodOptions,
  settings: CheckerSettings,
  placement: 'sidecar' | 'container',
  probe: 'http' | 'exec',
) {
  return {
    name: CHECKER_CONTAINER,
    command: CHECK_COMMAND,
    ...common(level, options, settings),
    resources: resourcesWithin(level.budgeted, settings.checkerResources),
    ports: [{ name: 'idrop-checker', containerPort: options.port, protocol: 'TCP' }],
    // No liveness probe: a restart of the checker repairs nothing. No startup probe: the next containers would wait for
    // it.
    // In mode observe nothing is held back: a probe can fail for other reasons than a verdict.
    ...(options.mode === 'observe' ? {} : { readinessProbe: READINESS_PROBES[probe](options.port) }),
    ...(placement === 'sidecar' ? { restartPolicy: 'Always' } : {}),
  };
}

/**
 * An ephemeral container for a pod that runs already. Such containers have no resources, ports, probes or restarts.
 * @param job install: puts the rule in, verifies it and ends. check: stays, as the checker does.
 */
export function ephemeralContainer(
  name: string,
  job: 'install' | 'check',
  level: PodLevelSettings,
  options: PodOptions,
  settings: Settings,
) {
  const command = { install: INSTALL_COMMAND, check: CHECK_COMMAND }[job];
  // It never blocks a pod. In mode observe its exit code would not be the verdict.
  const mode = job === 'install' ? 'enforce' : options.mode;
  return { name, command, ...common(level, { ...options, mode }, settings) };
}

/** How the kubelet can ask the checker. */
export const READINESS_PROBES = {
  http: (port: number) => ({
    httpGet: { path: '/readyz', port, scheme: 'HTTP' },
    // A pod waits for the first successful probe: with a period of 5 s, pods were Ready 2 s later than without us.
    periodSeconds: 2,
    timeoutSeconds: 2,
    failureThreshold: 3,
  }),
  // Each probe starts a process, about 50 ms of CPU under the container's limit: a longer period and timeout.
  exec: () => ({
    exec: { command: [...CHECK_COMMAND, '--probe'] },
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold: 2,
  }),
};

/** Requests and limits on both, as quotas demand, but for what the pod budgets as a whole. */
function resourcesWithin(budgeted: string[], { requests, limits }: ContainerResources) {
  const own = (amounts: Record<string, string>) =>
    Object.fromEntries(Object.entries(amounts).filter(([name]) => !budgeted.includes(name)));
  return { requests: own(requests), limits: own(limits) };
}

function common({ localhostAppArmor, seLinuxLevel }: PodLevelSettings, options: PodOptions, settings: Settings) {
  const { image, legacyIptables } = settings;
  return {
    image,
    imagePullPolicy: 'IfNotPresent',
    env: [
      { name: POD_OPTIONS.mode.env, value: options.mode },
      { name: POD_OPTIONS.protocol.env, value: options.protocol },
      { name: POD_OPTIONS.onDrift.env, value: options.onDrift },
      { name: POD_OPTIONS.rescue.env, value: options.rescue },
      ...(options.port === CHECKER_PORT ? [] : [{ name: CHECKER_PORT_VARIABLE, value: String(options.port) }]),
    ],
    securityContext: {
      // Capabilities that are added are effective only for uid 0.
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: legacyIptables ? ['NET_ADMIN', 'NET_RAW'] : ['NET_ADMIN'] },
      seccompProfile: { type: 'RuntimeDefault' },
      // Only where the pod has one: a node without AppArmor refuses a pod that names any profile.
      ...(localhostAppArmor && { appArmorProfile: { type: 'RuntimeDefault' } }),
      // Without a type the runtime takes its own.
      ...(seLinuxLevel !== undefined && { seLinuxOptions: seLinuxLevel === '' ? {} : { level: seLinuxLevel } }),
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

// What the containers ask for and may use, as an option's text: cpu=10m:200m,memory=32Mi:128Mi.

type Amounts = Record<string, string>;

/** `resources` of a container. */
export interface ContainerResources {
  requests: Amounts;
  limits: Amounts;
}

const TEXT =
  /^cpu=(?<cpu>[\d.]+m?)(?::(?<cpuLimit>[\d.]+m?))?,memory=(?<memory>\d+[KMG]i)(?::(?<memoryLimit>\d+[KMG]i))?$/;
const AMOUNT = /^(\d{1,9}(?:\.\d{1,3})?)(m|Ki|Mi|Gi)?$/;
const UNITS: Record<string, number> = { m: 0.001, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** An option whose value is the resources of a container; read it with containerResources. */
export function resourcesOption(described: { env: string; help: string; default: string }): Option<string> {
  const allowed =
    'cpu=REQUEST:LIMIT,memory=REQUEST:LIMIT such as cpu=10m:1,memory=32Mi:128Mi; without :LIMIT there is none';
  // The API server would refuse every pod with a request above its limit.
  const parse = (text: string) => (readResources(text) ? text : undefined);
  return { ...textLike(TEXT, allowed, described), parse };
}

/** @param text what a resourcesOption allows */
export function containerResources(text: string): ContainerResources {
  const resources = readResources(text);
  if (!resources) throw new TypeError(`no resources: ${text}`);
  return resources;
}

function readResources(text: string): ContainerResources | undefined {
  const { cpu = '', cpuLimit, memory = '', memoryLimit } = TEXT.exec(text)?.groups ?? {};
  const pairs = [
    [cpu, cpuLimit ?? cpu],
    [memory, memoryLimit ?? memory],
  ] as const;
  if (!pairs.every(([request, limit]) => numberOf(request) > 0 && numberOf(request) <= numberOf(limit)))
    return undefined;
  const limits = { ...(cpuLimit && { cpu: cpuLimit }), ...(memoryLimit && { memory: memoryLimit }) };
  return { requests: { cpu, memory }, limits };
}

/** Cores or bytes; NaN where it is no quantity. */
function numberOf(quantity: string): number {
  const [, digits, unit = ''] = AMOUNT.exec(quantity) ?? [];
  return Number(digits) * (UNITS[unit] ?? 1);
}
