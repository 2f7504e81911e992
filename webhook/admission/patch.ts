// The JSON Patch (RFC 6902) that adds to a pod what a plan says, and nothing else. Built by hand: a computed
// difference rewrites every entry of an array that gets one in front.
import { INIT_CONTAINER } from '../../lib/contract.ts';
import { checkerContainer, type InjectionSettings, initContainer } from './containers.ts';
import { EXCLUDE_INBOUND_PORTS, excludeInboundPorts, probeKind } from './istio-inbound.ts';
import type { PodOptions } from './pod-options.ts';
import { type PodView, podLevelResources } from './pod-view.ts';

/** For people. Nothing is ever decided from it. */
export const STATUS_ANNOTATION = 'invalid-drop.io/status';

export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

/** What to add to a pod: at least one of the two containers. */
export interface InjectionPlan {
  options: PodOptions;
  addInit: boolean;
  /** sidecar: init container with restartPolicy Always. container: beside the application. none: nothing to add. */
  checker: 'sidecar' | 'container' | 'none';
}

/**
 * @param pod the pod as it was sent
 * @param plan what is missing in it
 * @returns `add` operations, in order. The only member that may exist before is an annotation of ours or
 *   excludeInboundPorts, whose new value begins with the old one
 */
export function buildPatch(pod: PodView, plan: InjectionPlan, settings: InjectionSettings): PatchOperation[] {
  const { options, addInit, checker } = plan;
  const budgeted = podLevelResources(pod);
  const init = addInit ? initContainer(budgeted, options, settings) : undefined;
  const check = checker === 'none' ? undefined : checkerContainer(budgeted, options, settings, checker, probeKind(pod));
  const excludePorts = check && excludeInboundPorts(pod, settings.meshExcludeInboundPorts);
  const added = [init, check].filter((container) => container !== undefined);
  return [
    ...addInitContainers(pod, init, checker === 'sidecar' ? check : undefined),
    ...(checker === 'container' ? [add('/spec/containers/-', check)] : []),
    ...addAnnotations(pod.annotations !== undefined, {
      ...(excludePorts !== undefined && { [EXCLUDE_INBOUND_PORTS]: excludePorts }),
      [STATUS_ANNOTATION]: JSON.stringify({
        version: settings.version,
        added: added.map((container) => container.name),
        mode: options.mode,
      }),
    }),
  ];
}

/** The init container before all others, so that no packet comes before the rule; the checker right after it. */
function addInitContainers({ initContainers }: PodView, init: unknown, sidecar: unknown): PatchOperation[] {
  const front = [init, sidecar].filter((container) => container !== undefined);
  if (front.length === 0) return [];
  if (initContainers === undefined) return [add('/spec/initContainers', front)];
  const first = init ? 0 : initContainers.findIndex((container) => container['name'] === INIT_CONTAINER) + 1;
  return front.map((container, offset) => add(`/spec/initContainers/${first + offset}`, container));
}

function addAnnotations(present: boolean, annotations: Record<string, string>): PatchOperation[] {
  if (!present) return [add('/metadata/annotations', annotations)];
  return Object.entries(annotations).map(([name, value]) => add(`/metadata/annotations/${escapePointer(name)}`, value));
}

function add(path: string, value: unknown): PatchOperation {
  return { op: 'add', path, value };
}

/** RFC 6901, section 4. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
