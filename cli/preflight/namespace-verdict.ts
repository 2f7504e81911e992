// What can guard the pods of a namespace: containers in the pods, the agents of their nodes, or nothing. Pure.
import { isTextMap } from '../../lib/json.ts';
import { forbidsNetAdmin } from '../../lib/pod/reasons.ts';
import type { Trial, TrialOutcome } from './namespace-trial.ts';
import type { MeshShare, NamespaceMesh } from './read-mesh.ts';

export type GuardWay = 'pod mode' | 'node mode' | 'neither' | 'cannot tell';

export interface NamespaceVerdict {
  name: string;
  mesh: MeshShare;
  /** Pods with a mesh's sidecar that were read. */
  pods: number;
  guardBy: GuardWay;
  why: string;
}

type Possible = { possible: 'yes' | 'no' | 'unknown'; why: string };

/**
 * @param trial of a pod with our container in this namespace; undefined where it was not tried
 * @param agents whether agents may run, as nodeModeOf says
 * @param usable whether there is a node on which pods can be guarded; undefined where nodes could not be read
 */
export function judgeNamespace(
  { name, labels, share, pods }: NamespaceMesh,
  trial: Trial | undefined,
  agents: Possible,
  usable: boolean | undefined,
): NamespaceVerdict {
  const verdict = (guardBy: GuardWay, why: string): NamespaceVerdict => ({ name, mesh: share, pods, guardBy, why });
  if (usable === false) return verdict('neither', 'no node of this cluster can run what guards pods');
  const containers = podModeOf(trial, labels);
  if (containers.possible === 'yes') return verdict('pod mode', containers.why);
  if (containers.possible === 'unknown') return verdict('cannot tell', containers.why);
  if (agents.possible === 'yes')
    return verdict('node mode', `${containers.why}; agents of the nodes need nothing in the pods`);
  if (agents.possible === 'no') return verdict('neither', `${containers.why}; ${agents.why}`);
  return verdict('cannot tell', `${containers.why}; ${agents.why}`);
}

/** What a trial's outcome says about containers with NET_ADMIN. */
const POSSIBLE: Record<TrialOutcome, Possible> = {
  accepted: { possible: 'yes', why: 'a pod with our container is accepted (dry run)' },
  'no-native-sidecars': {
    possible: 'yes',
    why: 'a pod with our container is accepted (dry run); native sidecars are off, so set --native-sidecars=disabled',
  },
  'pod-security': { possible: 'no', why: 'Pod Security refuses NET_ADMIN' },
  scc: { possible: 'no', why: 'no security context constraint allows NET_ADMIN' },
  policy: { possible: 'no', why: 'an admission program refuses our container' },
  changed: { possible: 'no', why: 'an admission program changes our container' },
  'refused-anyway': { possible: 'unknown', why: 'each pod that was tried is refused, also without our container' },
  'no-dry-run': { possible: 'unknown', why: 'a webhook there does not support dry runs' },
  'no-right': { possible: 'unknown', why: 'its labels do not forbid NET_ADMIN; to ask, you need the right to' },
  failed: { possible: 'unknown', why: 'the dry run failed' },
};

function podModeOf(trial: Trial | undefined, labels: NamespaceMesh['labels']): Possible {
  const forbidden = isTextMap(labels) && forbidsNetAdmin(labels);
  const asked = trial !== undefined && trial.outcome !== 'no-right';
  if (!asked && forbidden)
    return {
      possible: 'no',
      why: `Pod Security refuses NET_ADMIN (label enforce=${labels['pod-security.kubernetes.io/enforce']})`,
    };
  if (trial === undefined) return { possible: 'unknown', why: 'its labels do not forbid NET_ADMIN; it was not tried' };
  const { possible, why } = POSSIBLE[trial.outcome];
  if (trial.detail === '') return { possible, why };
  return { possible, why: trial.outcome === 'no-right' ? `${why} ${trial.detail}` : `${why}: ${trial.detail}` };
}

/** @param trial of a pod like the agent's; undefined where it was not tried */
export function nodeModeOf(trial: Trial | undefined, openShift: boolean): Possible {
  if (openShift)
    return {
      possible: 'unknown',
      why: 'node agents need a security context constraint with hostPath and SYS_ADMIN; that was not tried on OpenShift',
    };
  if (trial === undefined) return { possible: 'unknown', why: 'whether node agents may run was not tried' };
  const { outcome, detail } = trial;
  if (outcome === 'accepted' || outcome === 'no-native-sidecars')
    return { possible: 'yes', why: 'a pod like that of a node agent is accepted (dry run)' };
  const words = detail === '' ? '' : `: ${detail}`;
  if (outcome === 'policy' || outcome === 'changed' || outcome === 'scc')
    return { possible: 'no', why: `a pod like that of a node agent is refused${words}` };
  const right = outcome === 'no-right' ? ': needs the right to create pods' : words;
  return { possible: 'unknown', why: `whether node agents may run could not be asked${right}` };
}
