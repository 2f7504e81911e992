// What the agent keeps of a Pod and of a Namespace. Pure. All pods of the node are kept, so that a label takes effect at
// once: a node has some hundred, and each is a few hundred bytes.

import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { isObject, isTextMap, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { readEphemeral } from '../../lib/pod/ephemeral-guards.ts';
import { type GuardedCondition, guardedCondition, hasGuardedGate } from '../../lib/pod/guarded-condition.ts';
import { hasOwnContainers } from '../../lib/pod/placement.ts';
import { type AgentPodOptions, readPodOptions } from '../../lib/pod/pod-options.ts';
import { viewPod } from '../../lib/pod/pod-view.ts';
import { type LeftAloneReason, reasonToLeaveAlone } from '../../lib/pod/reasons.ts';
import { printable } from '../../lib/printable.ts';

export interface NodePod {
  uid: string;
  namespace: string;
  name: string;
  /** status.podIPs; none while they are not known. */
  addresses: string[];
  /** status.hostIPs: addresses of the node. */
  hostAddresses: string[];
  /** Succeeded or Failed: no container of it runs again. */
  ended: boolean;
  /** Why agents leave such a pod alone, whatever its namespace's label. */
  leftAlone: LeftAloneReason | undefined;
  /** It carries containers of ours, which guard it for its life. */
  ownContainers: boolean;
  /** It gets Ready only with our condition. */
  gate: boolean;
  condition: GuardedCondition | undefined;
  options: AgentPodOptions;
  /** One line about annotations with values that are not allowed; '' where there are none. */
  wrong: string;
}

/** Addresses of a pod: one for each family; no more are kept. */
const MOST_ADDRESSES = 8;
/** Characters of what is said of wrong annotations. */
const WRONG_LENGTH = 300;

/**
 * @param node the agent's own; pods of other nodes are no business of it
 * @param configured options of pods without annotations
 * @returns a function from a Pod to what is kept of it; undefined where it is none of this node
 */
export function podProjection(node: string, configured: AgentPodOptions): (object: JsonObject) => NodePod | undefined {
  return (object) => {
    const { metadata } = object;
    const view = viewPod(object);
    if (!isObject(metadata) || view === undefined || view.spec['nodeName'] !== node) return undefined;
    const uid = shortText(metadata['uid']);
    if (uid === '') return undefined;
    const namespace = shortText(metadata['namespace']);
    const status = objectAt(object, 'status');
    // Where there is no agent's view of images, names decide: who adds such a container has chosen pod mode.
    const { installed } = readEphemeral(view, status, () => true);
    const { options, wrong } = readPodOptions(view, configured);
    return {
      uid,
      namespace,
      name: shortText(metadata['name']),
      addresses: addressesIn(status, 'podIPs'),
      hostAddresses: addressesIn(status, 'hostIPs'),
      ended: status['phase'] === 'Succeeded' || status['phase'] === 'Failed',
      leftAlone: reasonToLeaveAlone(view, { name: namespace, labels: undefined }, 'node'),
      ownContainers: hasOwnContainers(view) || installed !== undefined,
      gate: hasGuardedGate(view),
      condition: guardedCondition(status),
      options,
      wrong: printable(wrong.join('; ')).slice(0, WRONG_LENGTH),
    };
  };
}

function addressesIn(status: JsonObject, name: 'podIPs' | 'hostIPs'): string[] {
  const all = objectsAt(status, name).map(({ ip }) => shortText(ip, 50));
  return all.filter((address) => address !== '').slice(0, MOST_ADDRESSES);
}

export interface LabelledNamespace {
  name: string;
  labels: Record<string, string>;
}

/** @returns undefined where the object is no Namespace */
export function projectNamespace({ metadata }: JsonObject): LabelledNamespace | undefined {
  if (!isObject(metadata)) return undefined;
  const { labels } = metadata;
  return { name: shortText(metadata['name']), labels: isTextMap(labels) ? optInLabelOf(labels) : {} };
}

/** The others are not kept: anybody who may label a namespace decides how long they are. */
function optInLabelOf(labels: Record<string, string>): Record<string, string> {
  const value = labels[OPT_IN_LABEL];
  return value === undefined ? {} : { [OPT_IN_LABEL]: value };
}
