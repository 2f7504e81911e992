// The JSON Patch (RFC 6902) that adds to a pod what a plan says, and nothing else. Built by hand: a computed
// difference rewrites every entry of an array that gets one in front.
import { INIT_CONTAINER } from '../../lib/contract.ts';
import { checkerContainer, initContainer } from './containers.ts';
import type { InjectionSettings, Plan } from './decision.ts';
import { EXCLUDE_INBOUND_PORTS, excludeInboundPorts, probeKind } from './istio-inbound.ts';
import { type PodView, podLevelResources } from './pod-view.ts';

/** For people. Nothing is ever decided from it. */
export const STATUS_ANNOTATION = 'invalid-drop.io/status';

export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

/** All that a patch depends on beside the settings: pods that agree in it get the same patch. */
export interface PatchInputs extends Plan {
  probe: 'http' | 'exec';
  /** Resources that the pod budgets as a whole. */
  budgeted: string[];
  /** Where the first new init container goes; undefined where the pod has no init containers at all. */
  initIndex: number | undefined;
  hasAnnotations: boolean;
  /** New value of excludeInboundPorts; undefined where it stays as it is. */
  excludePorts: string | undefined;
}

/**
 * @param pod the pod as it was sent
 * @param plan what is missing in it
 */
export function patchInputs(pod: PodView, plan: Plan, settings: InjectionSettings): PatchInputs {
  const { initContainers: present } = pod;
  const afterInit = () => (present ?? []).findIndex((container) => container['name'] === INIT_CONTAINER) + 1;
  const ports = () => excludeInboundPorts(pod, settings.meshExcludeInboundPorts);
  return {
    ...plan,
    probe: probeKind(pod),
    budgeted: podLevelResources(pod),
    initIndex: present && (plan.addInit ? 0 : afterInit()),
    hasAnnotations: pod.annotations !== undefined,
    excludePorts: plan.checker === 'none' ? undefined : ports(),
  };
}

/**
 * A text that inputs share if they are the same, and only then; a tenth of what JSON takes. The two parts that pods
 * write freely cannot be taken for anything else: one is JSON, and the other stands last.
 */
export function patchKey(inputs: PatchInputs): string {
  const { mode, protocol, onDrift, checker } = inputs.options;
  const { addInit, probe, initIndex, hasAnnotations, excludePorts } = inputs;
  const budgeted = inputs.budgeted.length === 0 ? '' : JSON.stringify(inputs.budgeted);
  const added = `${addInit} ${inputs.checker} ${probe} ${budgeted} ${initIndex} ${hasAnnotations}`;
  return `${mode} ${protocol} ${onDrift} ${checker} ${added} ${excludePorts ?? ''}`;
}

/**
 * @returns `add` operations, in order. The only member that may exist before is an annotation of ours or
 *   excludeInboundPorts, whose new value begins with the old one
 */
export function buildPatch(inputs: PatchInputs, settings: InjectionSettings): PatchOperation[] {
  const { options, checker, budgeted, excludePorts } = inputs;
  const init = inputs.addInit ? initContainer(budgeted, options, settings) : undefined;
  const check = checker === 'none' ? undefined : checkerContainer(budgeted, options, settings, checker, inputs.probe);
  const added = [init, check].filter((container) => container !== undefined);
  const sidecar = checker === 'sidecar' ? check : undefined;
  return [
    ...addInitContainers(inputs.initIndex, init, sidecar),
    ...(checker === 'container' ? [add('/spec/containers/-', check)] : []),
    ...addAnnotations(inputs.hasAnnotations, {
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
function addInitContainers(first: number | undefined, init: unknown, sidecar: unknown): PatchOperation[] {
  const front = [init, sidecar].filter((container) => container !== undefined);
  if (front.length === 0) return [];
  if (first === undefined) return [add('/spec/initContainers', front)];
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
