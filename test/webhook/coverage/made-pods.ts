// Pods as the API server stores them, in the states that coverage tells apart.
import type { Mode } from '../../../lib/contract.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { NO_POD_LEVEL } from '../../../lib/pod/pod-view.ts';
import { checkerContainer, initContainer, sidecarContainer } from '../../../webhook/admission/containers.ts';
import { SETTINGS } from '../admission/injection-settings.ts';

export const IMAGE = 'registry.example:5000/invalid-drop/init-image:2.0.0';
export const OLDER = 'registry.example:5000/invalid-drop/init-image:1.0.0';
/** Seconds since 1970. */
export const NOW = Date.parse('2030-01-01T12:00:00Z') / 1000;
export const at = (seconds: number) => new Date(seconds * 1000).toISOString();

interface Change {
  name?: string;
  namespace?: string;
  image?: string;
  checkerImage?: string;
  install?: 'waiting' | 'unpulled' | 'failed' | 'crashing' | 'again' | 'done';
  checker?: 'none' | 'waiting' | 'crashing' | 'running' | 'ready';
  checkerRestarts?: number;
  checkerSince?: number;
  mode?: Mode;
  /** Members of the containers that differ from what the webhook builds. */
  changeInit?: JsonObject;
  changeChecker?: JsonObject;
  created?: number;
  spec?: JsonObject;
  metadata?: JsonObject;
  status?: JsonObject;
}

const INSTALL = {
  waiting: { state: { waiting: { reason: 'PodInitializing' } } },
  unpulled: { state: { waiting: { reason: 'ErrImagePull' } } },
  failed: { state: { terminated: { exitCode: 1 } }, restartCount: 0 },
  crashing: {
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: { terminated: { exitCode: 1 } },
    restartCount: 3,
  },
  // As after a restart of the node: it had ended well.
  again: { state: { running: {} }, lastState: { terminated: { exitCode: 0 } }, restartCount: 1 },
  done: { state: { terminated: { exitCode: 0 } }, restartCount: 0 },
};

const CHECKER_WAITS: Record<string, JsonObject> = {
  waiting: { waiting: { reason: 'PodInitializing' } },
  crashing: { waiting: { reason: 'CrashLoopBackOff' } },
};

/** The sidecar that installs, as the kubelet reports it: before the pod is initialized, and after. */
const SIDECAR = {
  waiting: { state: { waiting: { reason: 'PodInitializing' } } },
  unpulled: { state: { waiting: { reason: 'ImagePullBackOff' } } },
  ended: { state: { terminated: { exitCode: 1 } } },
  // The kubelet ended it, and it ended well.
  'ended by the kubelet': { state: { terminated: { exitCode: 0 } } },
  'hook failed': { state: { waiting: { reason: 'PostStartHookError' } } },
  crashing: { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1 } } },
  again: { state: { waiting: { reason: 'PodInitializing' } }, lastState: { terminated: { exitCode: 1 } } },
  running: { state: { running: { startedAt: at(NOW - 3600) } }, started: true },
  ready: { state: { running: { startedAt: at(NOW - 3600) } }, started: true, ready: true },
};

interface SidecarChange extends Pick<Change, 'name' | 'image' | 'mode' | 'spec' | 'metadata'> {
  is?: keyof typeof SIDECAR;
  /** Whether the pod has been initialized: the application has been started. */
  initialized?: boolean;
  restarts?: number;
  /** Members of the container that differ from what the webhook builds. */
  change?: JsonObject;
}

/** A pod with one container of ours, as it is where the cluster has native sidecars. */
export function sidecarPod(change: SidecarChange = {}): JsonObject {
  const { image = IMAGE, mode = 'enforce', is = 'ready', restarts = 0 } = change;
  const options = { ...SETTINGS.options, mode };
  const sidecar = sidecarContainer(NO_POD_LEVEL, options, { ...SETTINGS, image }, 'http');
  const initialized = change.initialized ?? (is === 'ready' || is === 'running');
  return {
    metadata: metadataOf(change),
    spec: {
      initContainers: [{ ...sidecar, ...change.change }],
      containers: [{ name: 'app', image: 'app' }],
      ...change.spec,
    },
    status: {
      phase: initialized ? 'Running' : 'Pending',
      conditions: [{ type: 'Initialized', status: initialized ? 'True' : 'False' }],
      initContainerStatuses: [
        { name: 'invalid-drop-checker', ready: false, started: false, restartCount: restarts, ...SIDECAR[is] },
      ],
    },
  };
}

/**
 * A pod that the webhook of the version before has been through: an init container, and a sidecar that only checks. Guarded and
 * Ready unless told otherwise.
 */
export function injectedPod(change: Change = {}): JsonObject {
  const { image = IMAGE, checkerImage = image, install = 'done', checker = 'ready', mode = 'enforce' } = change;
  const options = { ...SETTINGS.options, mode };
  const init = { ...initContainer(NO_POD_LEVEL, options, { ...SETTINGS, image }), ...change.changeInit };
  const checkerSettings = { ...SETTINGS, image: checkerImage };
  const sidecar = {
    ...checkerContainer(NO_POD_LEVEL, options, checkerSettings, 'http'),
    restartPolicy: 'Always',
    ...change.changeChecker,
  };
  const running = { running: { startedAt: at(change.checkerSince ?? NOW - 3600) } };
  const checkerStatus = {
    name: 'invalid-drop-checker',
    ready: checker === 'ready',
    restartCount: change.checkerRestarts ?? 0,
    state: CHECKER_WAITS[checker] ?? running,
  };
  return {
    metadata: metadataOf(change),
    spec: {
      initContainers: checker === 'none' ? [init] : [init, sidecar],
      containers: [{ name: 'app', image: 'app' }],
      ...change.spec,
    },
    status: {
      phase: 'Running',
      initContainerStatuses: [
        { name: 'invalid-drop-init', ...INSTALL[install] },
        ...(checker === 'none' ? [] : [checkerStatus]),
      ],
      ...change.status,
    },
  };
}

/** A pod that nobody has changed. */
export function plainPod(change: Change = {}): JsonObject {
  return {
    metadata: metadataOf(change),
    spec: { containers: [{ name: 'app', image: 'app' }], ...change.spec },
    status: { phase: 'Running', ...change.status },
  };
}

/** A pod that the agent of its node is to guard: with the readiness gate, an address and our condition, unless told. */
export function gatedPod(
  condition?: { status: string; reason: string },
  change: Change & { networkSince?: number } = {},
) {
  const ours = { type: 'invalid-drop.io/guarded', message: '', ...condition };
  const network = {
    type: 'PodReadyToStartContainers',
    status: 'True',
    lastTransitionTime: at(change.networkSince ?? NOW - 3600),
  };
  return plainPod({
    ...change,
    spec: { readinessGates: [{ conditionType: 'invalid-drop.io/guarded' }], ...change.spec },
    status: { podIP: '10.0.0.7', conditions: condition ? [network, ours] : [network], ...change.status },
  });
}

function metadataOf({ name = 'store-0', namespace = 'storage', created = NOW - 3600, metadata }: Change): JsonObject {
  return { name, namespace, uid: `uid-of-${name}`, creationTimestamp: at(created), ...metadata };
}
