// The JSON Patch (RFC 6902) that adds to a pod what a plan says, and nothing else. Built by hand: a computed
// difference rewrites every entry of an array that gets one in front.
import { GUARDED_CONDITION, INIT_CONTAINER } from '../../lib/contract.ts';
import type { NamespaceMetadata } from '../../lib/mesh/recognise-mesh.ts';
import type { PodOptions } from '../../lib/pod/pod-options.ts';
import { type PodLevelSettings, type PodView, podLevelSettings } from '../../lib/pod/pod-view.ts';
import type { OwnResources } from './container-resources.ts';
import { checkerContainer, type InjectionSettings, initContainer, sidecarContainer } from './containers.ts';
import { type InboundPlan, planInbound } from './inbound-exemption.ts';
import { resourcesInPod } from './resources-in-pod.ts';

/** For people. Nothing is ever decided from it. */
export const STATUS_ANNOTATION = 'invalid-drop.io/status';

export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

/** What to add to a pod: one container, or two. */
export interface InjectionPlan {
  options: PodOptions;
  /** What our containers ask for, before the pod is looked at. */
  resources: OwnResources;
  /** What is put before the other init containers. init: installs and ends. sidecar: installs and stays as the checker. */
  first: 'init' | 'sidecar' | 'none';
  /** Whether a checker that only checks is put beside the application. */
  plainChecker: boolean;
}

/** All that a patch depends on beside the settings, as plain data: pods that agree in it get the same patch. */
export interface PatchInputs extends InjectionPlan {
  /** What our containers get in this pod. */
  resources: OwnResources;
  probe: InboundPlan['probe'];
  /** What the pod sets for all of its containers. */
  level: PodLevelSettings;
  /** Where the new init container goes; null where the pod has no init containers at all. */
  initIndex: number | null;
  hasAnnotations: boolean;
  /** The mesh's annotation that keeps the checker's port out of the proxy; null where none is written. */
  portAnnotation: InboundPlan['annotation'];
  /** Pull secrets that the pod lacks, and whether it has a list of them. */
  pullSecrets: string[];
  hasPullSecrets: boolean;
}

/**
 * @param pod the pod as it was sent
 * @param plan what is missing in it
 * @param namespace the pod's; undefined where it is not known
 */
export function patchInputs(
  pod: PodView,
  plan: InjectionPlan,
  settings: InjectionSettings,
  namespace?: NamespaceMetadata,
): PatchInputs {
  const { initContainers, annotations, imagePullSecrets } = pod;
  const afterInit = (initContainers ?? []).findIndex(({ name }) => name === INIT_CONTAINER) + 1;
  const { meshExcludeInboundPorts: meshPorts } = settings;
  const inbound = planInbound(pod, namespace, plan.options.port, meshPorts, plan.plainChecker);
  return {
    ...plan,
    resources: resourcesInPod(pod, plan.resources, addsChecker(plan)),
    probe: inbound.probe,
    level: podLevelSettings(pod),
    initIndex: initContainers === undefined ? null : afterInit,
    hasAnnotations: annotations !== undefined,
    portAnnotation: addsChecker(plan) ? inbound.annotation : null,
    pullSecrets: settings.imagePullSecrets.filter((name) => !imagePullSecrets?.some((one) => one['name'] === name)),
    hasPullSecrets: imagePullSecrets !== undefined,
  };
}

/** Whether one of the containers to add is a checker, which needs its port. */
export function addsChecker({ first, plainChecker }: Pick<InjectionPlan, 'first' | 'plainChecker'>): boolean {
  return first === 'sidecar' || plainChecker;
}

/**
 * @returns `add` operations, in order. The only member that may exist before is an annotation of ours or
 *   a mesh's list of ports, whose new value begins with the old one
 */
export function buildPatch(inputs: PatchInputs, settings: InjectionSettings): PatchOperation[] {
  const { options, first, plainChecker, level, portAnnotation, resources, probe } = inputs;
  const fit = { ...settings, initResources: resources.init, checkerResources: resources.checker };
  const init = {
    none: () => [],
    init: () => [initContainer(level, options, fit)],
    sidecar: () => [sidecarContainer(level, options, fit, probe)],
  }[first]();
  const checker = plainChecker ? [checkerContainer(level, options, fit, probe)] : [];
  return [
    ...init.map((container) => addInitContainer(inputs.initIndex, container)),
    ...checker.map((container) => add('/spec/containers/-', container)),
    ...addPullSecrets(inputs),
    ...addAnnotations(inputs.hasAnnotations, {
      ...(portAnnotation !== null && { [portAnnotation.name]: portAnnotation.value }),
      [STATUS_ANNOTATION]: JSON.stringify({
        version: settings.version,
        added: [...init, ...checker].map(({ name }) => name),
        mode: options.mode,
      }),
    }),
  ];
}

/** Adds our readiness gate, for a pod that the agent of its node guards, and nothing else. */
export function gatePatch({ readinessGates }: PodView): PatchOperation[] {
  const gate = { conditionType: GUARDED_CONDITION };
  return [readinessGates ? add('/spec/readinessGates/-', gate) : add('/spec/readinessGates', [gate])];
}

/** Patches that are remembered, of about 3 KB each; pods choose the inputs, so that there is a limit. */
const REMEMBERED = 200;
/** An annotation may have 256 KB: long inputs are not worth remembering. */
const KEY_LENGTH = 1000;

/**
 * @returns a function that makes the patch as base64, and remembers it by all of its inputs: most pods of a cluster get
 *   one of a few patches, and to make one takes a fifth of an admission (docs/decisions/0013)
 */
export function makePatchEncoder(settings: InjectionSettings, limit = REMEMBERED): (inputs: PatchInputs) => string {
  const known = new Map<string, string>();
  return (inputs) => {
    const key = JSON.stringify(inputs);
    const before = known.get(key);
    if (before !== undefined) return before;
    const patch = encodePatch(buildPatch(inputs, settings));
    if (known.size >= limit) known.clear();
    if (key.length <= KEY_LENGTH) known.set(key, patch);
    return patch;
  };
}

/** A JSON Patch as an AdmissionReview carries it. */
export function encodePatch(operations: PatchOperation[]): string {
  return Buffer.from(JSON.stringify(operations)).toString('base64');
}

/** Before all others, so that no packet comes before the rule; the checker after an init container that installs. */
function addInitContainer(index: number | null, container: unknown): PatchOperation {
  return index === null ? add('/spec/initContainers', [container]) : add(`/spec/initContainers/${index}`, container);
}

/** After the pod's own, and those of its ServiceAccount, which the API server adds before it calls webhooks. */
function addPullSecrets({ pullSecrets, hasPullSecrets }: PatchInputs): PatchOperation[] {
  const secrets = pullSecrets.map((name) => ({ name }));
  if (secrets.length === 0) return [];
  if (!hasPullSecrets) return [add('/spec/imagePullSecrets', secrets)];
  return secrets.map((secret) => add('/spec/imagePullSecrets/-', secret));
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
