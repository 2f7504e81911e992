// From one valid review to its answer, and to what log and metrics say of it. Pure.
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, shortText } from '../../lib/json.ts';
import type { NamespaceMetadata } from '../../lib/mesh/recognise-mesh.ts';
import { hasGuardedGate } from '../../lib/pod/guarded-condition.ts';
import { placementOfNewPod } from '../../lib/pod/placement.ts';
import { type PodOptions, readPodOptions } from '../../lib/pod/pod-options.ts';
import {
  declaresPort,
  ends,
  findContainer,
  hasContainer,
  type PodView,
  podLevelSettings,
  viewPod,
} from '../../lib/pod/pod-view.ts';
import { isProtectedNamespace, reasonToLeaveAlone, type SkipReason, skipWarning } from '../../lib/pod/reasons.ts';
import { errors } from '../webhook-errors.ts';
import { readOwnResources } from './container-resources.ts';
import type { InjectionSettings } from './containers.ts';
import { areForeign, isInstallingSidecar, ownContainers } from './own-containers.ts';
import {
  addsChecker,
  encodePatch,
  gatePatch,
  type InjectionPlan,
  makePatchEncoder,
  type PatchInputs,
  patchInputs,
} from './patch.ts';
import { allow, allowPatched, deny, type Review, type ReviewResponse } from './review.ts';

/**
 * `result` and `reason` of the admissions metric and of the log line. Both have few values. gated: the pod got the readiness
 * gate, and the agent of its node guards it. observed: the same without the gate, as its mode is observe.
 */
export interface AdmissionOutcome {
  result: 'injected' | 'gated' | 'observed' | 'skipped' | 'refused' | 'error';
  reason: SkipReason | 'annotation-invalid' | '';
}

export interface Admission extends AdmissionOutcome {
  response: ReviewResponse;
  /** Details for the log, where the outcome's words are not enough. */
  message?: string;
}

/**
 * @param namespace of the request, or undefined where it is not known
 * @param encode makes the patch as base64
 * @returns the response, and the outcome for log and metrics
 */
export function admit(
  { request }: Review,
  namespace: NamespaceMetadata | undefined,
  settings: InjectionSettings,
  encode: (inputs: PatchInputs) => string = makePatchEncoder(settings),
): Admission {
  const { uid } = request;
  const decision = decide(request, namespace?.labels, settings);
  if (decision.result === 'skip') {
    const { reason, difference } = decision;
    const response = allow(uid, skipWarning(reason));
    return { response, result: 'skipped', reason, ...(difference !== undefined && { message: difference }) };
  }
  if (decision.result === 'refuse') {
    const { code, message } = decision;
    return { response: deny(uid, code, message), result: 'refused', reason: 'annotation-invalid', message };
  }
  if (decision.result === 'observe') return { response: allow(uid), result: 'observed', reason: '' };
  if (decision.result === 'gate') {
    return { response: allowPatched(uid, encodePatch(gatePatch(decision.pod))), result: 'gated', reason: '' };
  }
  const { pod, plan, warning } = decision;
  const response = allowPatched(uid, encode(patchInputs(pod, plan, settings, namespace)), warning);
  return { response, result: 'injected', reason: '', ...(warning !== undefined && { message: warning }) };
}

/** The answer where deciding itself failed: the pod is created, with a warning. */
export function admitAfterError(uid: string): Admission {
  return { response: allow(uid, skipWarning('internal-error')), result: 'error', reason: 'internal-error' };
}

export type Decision =
  | { result: 'inject'; pod: PodView; plan: InjectionPlan; warning?: string }
  | { result: 'gate'; pod: PodView }
  | { result: 'observe' }
  | { result: 'skip'; reason: SkipReason; difference?: string }
  | { result: 'refuse'; code: number; message: string };

/**
 * Decides about one admission request.
 * @param request `request` of an AdmissionReview; any JSON is allowed
 * @param labels labels of the request's namespace, or undefined where they are not known
 * @returns inject with what to add, gate where an agent is to guard the pod (observe: without a gate), skip with the reason, or refuse with an HTTP-like code and a message that names
 *   every wrong annotation
 */
export function decide(
  request: JsonObject,
  labels: Record<string, string> | undefined,
  settings: InjectionSettings,
): Decision {
  if (!isPodCreation(request)) return { result: 'skip', reason: 'not-a-pod-creation' };
  const { namespace: name } = request;
  if (isProtectedNamespace(name)) return { result: 'skip', reason: 'protected-namespace' };
  const pod = viewPod(request['object']);
  if (pod === undefined) return { result: 'skip', reason: 'unreadable-pod' };
  const placement = placementOfNewPod(pod, labels, settings.nodeMode);
  const reason = reasonToLeaveAlone(pod, { name, labels }, placement);
  if (reason !== undefined) return { result: 'skip', reason };
  const { options, wrong: wrongOptions } = readPodOptions(pod, settings.options);
  const configured = { init: settings.initResources, checker: settings.checkerResources };
  const { resources, wrong: wrongResources } = readOwnResources(pod, configured, settings.maxResources);
  const wrong = [...wrongOptions, ...wrongResources];
  if (wrong.length > 0) return { result: 'refuse', code: 400, message: `invalid-drop: ${wrong.join('; ')}` };
  if (placement === 'node') {
    if (options.mode === 'observe') return { result: 'observe' };
    return hasGuardedGate(pod) ? { result: 'skip', reason: 'already-injected' } : { result: 'gate', pod };
  }
  const { are, difference } = ownContainers(pod, settings.image, {
    options,
    level: podLevelSettings(pod),
    legacyIptables: settings.legacyIptables,
  });
  if (areForeign(are)) return { result: 'skip', reason: are, difference };
  const plan = { ...planFor(pod, options, settings.nativeSidecars), options, resources };
  if (plan.first === 'none' && !plan.plainChecker) return { result: 'skip', reason: 'already-injected' };
  const portTaken = addsChecker(plan) && declaresPort(pod, options.port, [INIT_CONTAINER, CHECKER_CONTAINER]);
  return { result: 'inject', pod, plan, ...(portTaken && { warning: errors.PORT_DECLARED(options.port).message }) };
}

function isPodCreation(request: JsonObject): boolean {
  const { kind, operation } = request;
  if (operation !== 'CREATE' || (request['subResource'] ?? '') !== '') return false;
  return isObject(kind) && kind['kind'] === 'Pod' && (kind['group'] ?? '') === '';
}

/** From the containers that the pod has, never from an annotation: anyone can write an annotation. */
function planFor(
  pod: PodView,
  options: PodOptions,
  nativeSidecars: boolean,
): Pick<InjectionPlan, 'first' | 'plainChecker'> {
  const checker = findContainer(pod, CHECKER_CONTAINER);
  const wantsChecker = options.checker === 'enabled' && checker === undefined;
  if (wantsChecker && nativeSidecars) return { first: 'sidecar', plainChecker: false };
  const installs = hasContainer(pod, INIT_CONTAINER) || (checker !== undefined && isInstallingSidecar(checker));
  // A plain container would keep a Job's pod from ever completing.
  return { first: installs ? 'none' : 'init', plainChecker: wantsChecker && !ends(pod) };
}

/** Names for the log line: never the whole object, never longer than Kubernetes allows a name to be. */
export function describeRequest(request: JsonObject): { namespace: string; pod: string } {
  const metadata = objectAt(request, 'object', 'metadata');
  const pod = shortText(metadata['name']) || shortText(metadata['generateName']) || shortText(request['name']);
  return { namespace: shortText(request['namespace']), pod };
}
