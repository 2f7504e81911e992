// Pods that run, as the API server stores them, with ephemeral containers in each state.
import type { JsonObject } from '../../../lib/json.ts';
import { NO_POD_LEVEL } from '../../../lib/pod/pod-view.ts';
import { ephemeralContainer } from '../../../webhook/admission/containers.ts';
import { SETTINGS } from '../../webhook/admission/injection-settings.ts';

export const SANDBOX_AT = '2030-01-01T10:00:00Z';
export const LATER = '2030-01-01T11:00:00Z';
export const EARLIER = '2030-01-01T09:00:00Z';
export const ENDED_WELL = { terminated: { exitCode: 0, finishedAt: LATER } };

export interface Ephemeral {
  name: string;
  image?: string;
  /** Members that differ from what `guard` adds. */
  change?: object;
  state?: object;
}

interface Change {
  name?: string;
  namespace?: string;
  ephemeral?: Ephemeral[];
  metadata?: object;
  spec?: object;
  status?: object;
}

export function runningPod(change: Change = {}) {
  const { name = 'store-0', namespace = 'storage', ephemeral = [], metadata, spec, status } = change;
  const containers = ephemeral.map(({ name, image = SETTINGS.image, change }) => {
    const job = name.includes('checker') ? 'check' : 'install';
    return { ...ephemeralContainer(name, job, NO_POD_LEVEL, SETTINGS.options, { ...SETTINGS, image }), ...change };
  });
  const statuses = ephemeral.flatMap(({ name, state }) => (state ? [{ name, state }] : []));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid: `uid-of-${name}`, creationTimestamp: EARLIER, ...metadata },
    spec: {
      containers: [{ name: 'app', image: 'app' }],
      ...(containers.length > 0 && { ephemeralContainers: containers }),
      ...spec,
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'PodReadyToStartContainers', status: 'True', lastTransitionTime: SANDBOX_AT }],
      ...(statuses.length > 0 && { ephemeralContainerStatuses: statuses }),
      ...status,
    },
  } as JsonObject & { metadata: JsonObject; spec: JsonObject; status: JsonObject };
}
