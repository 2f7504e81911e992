// Pods and what is known of them.
import { CHECKER_CONTAINER, CHECKER_PORT, INIT_CONTAINER, SIDECAR_COMMAND } from '../../../lib/contract.ts';
import { eventually } from '../wait-until.ts';
import { getJson, getRaw } from './kubectl.ts';

/** An image that every run has: node is its only program, so commands are `node -e SCRIPT`. */
export const APP_IMAGE = process.env['INVALID_DROP_E2E_APP_IMAGE'] ?? 'localhost/invalid-drop/webhook:0.1.0';
/** The image of our containers, which has more programs. */
export const INIT_IMAGE = APP_IMAGE.replace('/webhook:', '/init-image:');

export interface Container {
  name: string;
  image: string;
  command?: string[];
  restartPolicy?: string;
  [key: string]: unknown;
}

export interface Pod {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    annotations?: Record<string, string>;
    [key: string]: unknown;
  };
  spec: { containers: Container[]; initContainers?: Container[]; [key: string]: unknown };
  status: {
    phase?: string;
    qosClass?: string;
    podIP?: string;
    podIPs?: { ip: string }[];
    conditions?: { type: string; status: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  containerID?: string;
  imageID: string;
  state: {
    running?: object;
    waiting?: { reason: string; message?: string };
    terminated?: { exitCode: number; message?: string };
  };
  lastState: object;
}

/** A container that stays until it is told to end. */
export function appContainer(
  name = 'app',
  script = 'setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0))',
) {
  return { name, image: APP_IMAGE, imagePullPolicy: 'IfNotPresent', command: ['node', '-e', script] };
}

/** What Pod Security `restricted` asks of a container. */
export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  runAsUser: 65532,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** A pod with one such container. Its grace period is short, so that tests end soon. */
export function podSpec(change: object = {}) {
  return { terminationGracePeriodSeconds: 1, containers: [appContainer()], ...change };
}

export function barePod(namespace: string, name: string, change: object = {}, metadata: object = {}) {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, ...metadata }, spec: podSpec(change) };
}

/** A pod that a namespace under Pod Security `restricted` takes. */
export function restrictedPod(namespace: string, name: string, change: object = {}, metadata: object = {}) {
  const containers = [{ ...appContainer(), securityContext: RESTRICTED }];
  return barePod(namespace, name, { containers, ...change }, metadata);
}

export function getPod(namespace: string, name: string): Promise<Pod> {
  return getJson<Pod>('pod', name, '-n', namespace);
}

/** The pods of a namespace that match a label selector; all of them without one. */
export async function getPods(namespace: string, selector = ''): Promise<Pod[]> {
  return (await getJson<{ items: Pod[] }>('pods', '-n', namespace, ...(selector ? ['-l', selector] : []))).items;
}

/** Names of all containers, init containers first. */
export function containerNames({ spec }: Pod): string[] {
  return [...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name);
}

/** True where the pod has what the webhook adds: the sidecar that installs, or an init container that does and a checker. */
export function isInjected(pod: Pod): boolean {
  const checker = pod.spec.initContainers?.find(({ name }) => name === CHECKER_CONTAINER);
  if (checker?.command?.join(' ') === SIDECAR_COMMAND.join(' ')) return true;
  return [INIT_CONTAINER, CHECKER_CONTAINER].every((name) => containerNames(pod).includes(name));
}

export function isReady({ status }: Pod): boolean {
  return (status.conditions ?? []).some(({ type, status: state }) => type === 'Ready' && state === 'True');
}

/** How often the kubelet has started any container of the pod again. */
export function restartsIn({ status }: Pod): number {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return all.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

export function waitReady(namespace: string, name: string, limit?: number): Promise<Pod> {
  return eventually(
    `pod ${namespace}/${name} is Ready`,
    async () => {
      const pod = await getPod(namespace, name);
      return isReady(pod) && pod;
    },
    limit,
  );
}

/** A page of the pod's checker, through the API server: /selfcheck, /metrics, /readyz. */
export function askChecker(namespace: string, pod: string, path: string): Promise<string> {
  return getRaw(`/api/v1/namespaces/${namespace}/pods/${pod}:${CHECKER_PORT}/proxy${path}`);
}
