// From one valid review to its answer, and to what log and metrics say of it. Pure.

import { isObject, type JsonObject, shortText } from '../../lib/json.ts';
import { decide, type InjectionSettings } from './decision.ts';
import { type PatchInputs, patchInputs } from './patch.ts';
import { encodePatch } from './patch-texts.ts';
import { allow, allowPatched, deny, type Review, type ReviewResponse } from './review.ts';
import { type SkipReason, skipWarning } from './skip-reasons.ts';

/** `result` and `reason` of the admissions metric and of the log line. Both have few values. */
export interface Outcome {
  result: 'injected' | 'skipped' | 'refused' | 'error';
  reason: SkipReason | 'annotation-invalid' | '';
}

export interface Admission extends Outcome {
  response: ReviewResponse;
  /** What to tell whoever reads the log, where the outcome's words are not enough. */
  message?: string;
}

/**
 * @param namespaceLabels labels of the request's namespace, or undefined where they are not known
 * @param encode gives the patch in base64; for a function that remembers
 * @returns the response, and the outcome for log and metrics
 */
export function admit(
  { request }: Review,
  namespaceLabels: Record<string, string> | undefined,
  settings: InjectionSettings,
  encode: (inputs: PatchInputs) => string = (inputs) => encodePatch(inputs, settings),
): Admission {
  const { uid } = request;
  const decision = decide(request, namespaceLabels, settings);
  if (decision.result === 'skip') {
    return { response: allow(uid, skipWarning(decision.reason)), result: 'skipped', reason: decision.reason };
  }
  if (decision.result === 'refuse') {
    const { code, message } = decision;
    return { response: deny(uid, code, message), result: 'refused', reason: 'annotation-invalid', message };
  }
  const patch = encode(patchInputs(decision.pod, decision.plan, settings));
  return { response: allowPatched(uid, patch), result: 'injected', reason: '' };
}

/** The answer where deciding itself failed: the pod is created, and its owner is told. */
export function admitAfterError(uid: string): Admission {
  return { response: allow(uid, skipWarning('internal-error')), result: 'error', reason: 'internal-error' };
}

/** Names for the log line: never the whole object, never longer than Kubernetes allows a name to be. */
export function describeRequest(request: JsonObject): { namespace: string; pod: string } {
  const { object } = request;
  const metadata = isObject(object) && isObject(object['metadata']) ? object['metadata'] : {};
  const pod = shortText(metadata['name']) || shortText(metadata['generateName']) || shortText(request['name']);
  return { namespace: shortText(request['namespace']), pod };
}
