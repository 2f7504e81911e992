// Our containers as they stand in a guarded pod. Every field that a pod-level security context, a quota or a LimitRange
// could reach is set here, for the pod's own settings are inherited otherwise.
import {
  CHECK_COMMAND,
  CHECKER_CONTAINER,
  CHECKER_PORT,
  CHECKER_PORT_VARIABLE,
  INIT_CONTAINER,
  INSTALL_COMMAND,
  type NodeMode,
  POD_OPTIONS,
  SIDECAR_COMMAND,
  WAIT_COMMAND,
} from '../../lib/contract.ts';
import type { PodOptions } from '../../lib/pod/pod-options.ts';
import type { PodLevelSettings } from '../../lib/pod/pod-view.ts';
import type { Amounts, ContainerResources } from './container-resources.ts';

/** What the webhook is configured to put into pods. */
export interface InjectionSettings {
  /** Image of our containers. Never a pod's choice: it would hand NET_ADMIN to any image that a pod author names. */
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
  /** Of the init container and of the checker in pods without the annotations. */
  initResources: ContainerResources;
  checkerResources: ContainerResources;
  /** The most that annotations may ask for, by resource name. */
  maxResources: Amounts;
  /**
   * Ports that the mesh keeps out of its proxy in pods without the annotation, or '' where they are those of its chart.
   */
  meshExcludeInboundPorts: string;
  /** Names of the Secrets, in the pod's namespace, by which the kubelet pulls the image. */
  imagePullSecrets: string[];
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
    resources: settings.initResources,
  };
}

/**
 * The native sidecar that installs the rule and stays as the checker: all that a pod gets where the cluster has native
 * sidecars (docs/decisions/0026).
 * @param level as above
 * @param probe how the kubelet asks it
 */
export function sidecarContainer(
  level: PodLevelSettings,
  options: PodOptions,
  settings: CheckerSettings,
  probe: 'http' | 'exec',
) {
  return {
    ...staying(SIDECAR_COMMAND, options, settings),
    ...common(level, options, settings),
    // The kubelet starts no other container before the hook has ended. In mode observe nothing is held back.
    ...(options.mode !== 'observe' && {
      lifecycle: { postStart: { exec: { command: WAIT_COMMAND } } },
      readinessProbe: readinessProbe(probe, options.port, 'sidecar'),
    }),
    restartPolicy: 'Always',
  };
}

/**
 * The container beside the application that answers whether the rule still holds, where an init container installed it.
 * @param level as above
 * @param probe as above
 */
export function checkerContainer(
  level: PodLevelSettings,
  options: PodOptions,
  settings: CheckerSettings,
  probe: 'http' | 'exec',
) {
  return {
    ...staying(CHECK_COMMAND, options, settings),
    ...common(level, options, settings),
    // In mode observe nothing is held back: a probe can fail for other reasons than a verdict.
    ...(options.mode !== 'observe' && { readinessProbe: readinessProbe(probe, options.port, 'container') }),
  };
}

/** No liveness probe: a restart of the checker repairs nothing. No startup probe: the hook is faster. */
function staying(command: string[], { port }: PodOptions, { checkerResources }: CheckerSettings) {
  return {
    name: CHECKER_CONTAINER,
    command,
    resources: checkerResources,
    ports: [{ name: 'idrop-checker', containerPort: port, protocol: 'TCP' }],
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

/** How the kubelet asks the checker. @param placement sidecar: it is ready when its hook has ended */
export function readinessProbe(kind: 'http' | 'exec', port: number, placement: 'sidecar' | 'container') {
  if (kind === 'exec') {
    // Each probe starts a process, about 50 ms of CPU under the container's limit: a longer period and timeout.
    const exec = { command: [...CHECK_COMMAND, '--probe'] };
    return { exec, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 2 };
  }
  const httpGet = { path: '/readyz', port, scheme: 'HTTP' };
  // The kubelet asks at once when it finds the container running. A checker beside the application may not be ready then, and
  // the pod waits for the next probe. A sidecar is, and each probe costs CPU for the pod's life.
  const [periodSeconds, failureThreshold] = placement === 'sidecar' ? [5, 2] : [2, 3];
  return { httpGet, periodSeconds, timeoutSeconds: 2, failureThreshold };
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
