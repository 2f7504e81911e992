// The JSON Patch (RFC 6902) that adds to a pod what a plan says, and nothing else. Built by hand: a computed
// difference rewrites every entry of an array that gets one in front.
import { INIT_CONTAINER } from '../init-image/contract.ts';
import { checkerContainer, initContainer } from './containers.ts';
import type { InjectionSettings, Plan } from './decision.ts';
import { EXCLUDE_INBOUND_PORTS, excludeInboundPorts, probeKind } from './istio-inbound.ts';
import type { PodView } from './pod-view.ts';

/** For people. Nothing is ever decided from it. */
export const STATUS_ANNOTATION = 'invalid-drop.io/status';

export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

/**
 * @param pod the pod as it was sent
 * @param plan what is missing in it
 * @returns `add` operations, in order. The only member that may exist before is an annotation of ours or
 *   excludeInboundPorts, whose new value begins with the old one
 */
export function buildPatch(pod: PodView, plan: Plan, settings: InjectionSettings): PatchOperation[] {
  const { options, checker } = plan;
  const init = plan.addInit ? initContainer(pod, options, settings) : undefined;
  const check = checker === 'none' ? undefined : checkerContainer(pod, options, settings, checker, probeKind(pod));
  const added = [init, check].filter((container) => container !== undefined);
  const sidecar = checker === 'sidecar' ? check : undefined;
  return [
    ...addInitContainers(pod, init, sidecar),
    ...(checker === 'container' ? [add('/spec/containers/-', check)] : []),
    ...addAnnotations(pod, {
      ...(check && excludePorts(pod, settings)),
      [STATUS_ANNOTATION]: JSON.stringify({
        version: settings.version,
        added: added.map((container) => container.name),
        mode: options.mode,
      }),
    }),
  ];
}

/** The init container before all others, so that no packet comes before the rule; the checker right after it. */
function addInitContainers(pod: PodView, init: unknown, sidecar: unknown): PatchOperation[] {
  const front = [init, sidecar].filter((container) => container !== undefined);
  if (front.length === 0) return [];
  const present = pod.initContainers;
  if (present === undefined) return [add('/spec/initContainers', front)];
  const first = init ? 0 : present.findIndex((container) => container['name'] === INIT_CONTAINER) + 1;
  return front.map((container, offset) => add(`/spec/initContainers/${first + offset}`, container));
}

function excludePorts(pod: PodView, settings: InjectionSettings): Record<string, string> {
  const ports = excludeInboundPorts(pod, settings.meshExcludeInboundPorts);
  return ports === undefined ? {} : { [EXCLUDE_INBOUND_PORTS]: ports };
}

function addAnnotations(pod: PodView, annotations: Record<string, string>): PatchOperation[] {
  if (pod.annotations === undefined) return [add('/metadata/annotations', annotations)];
  return Object.entries(annotations).map(([name, value]) => add(`/metadata/annotations/${escapePointer(name)}`, value));
}

function add(path: string, value: unknown): PatchOperation {
  return { op: 'add', path, value };
}

/** RFC 6901, section 4. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
