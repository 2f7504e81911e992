// The two containers as they stand in a guarded pod. Every field that a pod-level security context, a quota or a
// LimitRange could reach is set here, for the pod's own settings are inherited otherwise.
import {
  CHECK_COMMAND,
  CHECKER_CONTAINER,
  CHECKER_PORT,
  INIT_CONTAINER,
  INSTALL_COMMAND,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import type { ContainerResources } from './container-resources.ts';
import type { InjectionSettings } from './decision.ts';
import type { PodOptions } from './pod-options.ts';

type Settings = Pick<InjectionSettings, 'image' | 'legacyIptables'>;
type InitSettings = Settings & Pick<InjectionSettings, 'initResources'>;
type CheckerSettings = Settings & Pick<InjectionSettings, 'checkerResources'>;

/**
 * The init container that installs the rule and ends.
 * @param budgeted names of the resources that the pod budgets as a whole
 */
export function initContainer(budgeted: string[], options: PodOptions, settings: InitSettings) {
  return {
    name: INIT_CONTAINER,
    command: INSTALL_COMMAND,
    ...common(options, settings),
    resources: resourcesWithin(budgeted, settings.initResources),
  };
}

/**
 * The container that stays and answers whether the rule still holds.
 * @param budgeted as above
 * @param placement sidecar: an init container that keeps running; container: an ordinary one
 * @param probe how the kubelet asks it
 */
export function checkerContainer(
  budgeted: string[],
  options: PodOptions,
  settings: CheckerSettings,
  placement: 'sidecar' | 'container',
  probe: 'http' | 'exec',
) {
  return {
    name: CHECKER_CONTAINER,
    command: CHECK_COMMAND,
    ...common(options, settings),
    resources: resourcesWithin(budgeted, settings.checkerResources),
    ports: [{ name: 'idrop-checker', containerPort: CHECKER_PORT, protocol: 'TCP' }],
    // No liveness probe: to kill the checker mends nothing. No startup probe: the next containers would wait for it.
    readinessProbe: READINESS_PROBES[probe],
    ...(placement === 'sidecar' ? { restartPolicy: 'Always' } : {}),
  };
}

/**
 * An ephemeral container for a pod that runs already. Such containers have no resources, ports, probes or restarts.
 * @param job install: puts the rule in, verifies it and ends. check: stays, as the checker does.
 */
export function ephemeralContainer(name: string, job: 'install' | 'check', options: PodOptions, settings: Settings) {
  const command = { install: INSTALL_COMMAND, check: CHECK_COMMAND }[job];
  // It holds nothing back whatever the mode; and in mode observe its exit code would not be the verdict.
  return { name, command, ...common({ ...options, mode: job === 'install' ? 'enforce' : options.mode }, settings) };
}

const READINESS_PROBES = {
  http: {
    httpGet: { path: '/readyz', port: CHECKER_PORT, scheme: 'HTTP' },
    // A pod waits for its first answer: with 5 s, pods were Ready 2 s later than without us.
    periodSeconds: 2,
    timeoutSeconds: 2,
    failureThreshold: 3,
  },
  // Starts a process each time, about 50 ms of CPU under the container's limit: seldom, and with more patience.
  exec: {
    exec: { command: [...CHECK_COMMAND, '--probe'] },
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold: 2,
  },
};

/** Requests and limits on both, as quotas demand, but for what the pod budgets as a whole. */
function resourcesWithin(budgeted: string[], { requests, limits }: ContainerResources) {
  const own = (amounts: Record<string, string>) =>
    Object.fromEntries(Object.entries(amounts).filter(([name]) => !budgeted.includes(name)));
  return { requests: own(requests), limits: own(limits) };
}

function common(options: PodOptions, { image, legacyIptables }: Settings) {
  return {
    image,
    imagePullPolicy: 'IfNotPresent',
    env: [
      { name: POD_OPTIONS.mode.env, value: options.mode },
      { name: POD_OPTIONS.protocol.env, value: options.protocol },
      { name: POD_OPTIONS.onDrift.env, value: options.onDrift },
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
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}
