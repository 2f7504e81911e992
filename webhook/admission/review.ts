// The AdmissionReview envelope (admission.k8s.io/v1): what must be in a request, and how answers look.
import type { JsonObject } from '../../lib/json.ts';

export const REVIEW_VERSION = 'admission.k8s.io/v1';
export const REVIEW_KIND = 'AdmissionReview';

/**
 * JSON schema of the envelope only. What is inside `request` is looked at by the decision, which answers with
 * words of its own; a schema for Pods would be wrong with each new Kubernetes.
 */
export const REVIEW_SCHEMA = {
  type: 'object',
  required: ['apiVersion', 'kind', 'request'],
  properties: {
    apiVersion: { const: REVIEW_VERSION },
    kind: { const: REVIEW_KIND },
    request: {
      type: 'object',
      required: ['uid'],
      properties: { uid: { type: 'string', minLength: 1, maxLength: 128 } },
    },
  },
} as const;

/** A body that REVIEW_SCHEMA has let through. */
export interface Review {
  request: JsonObject & { uid: string };
}

export interface ReviewResponse {
  apiVersion: typeof REVIEW_VERSION;
  kind: typeof REVIEW_KIND;
  response: {
    uid: string;
    allowed: boolean;
    patchType?: 'JSONPatch';
    /** JSON Patch, base64. */
    patch?: string;
    warnings?: string[];
    status?: { code: number; reason: string; message: string };
  };
}

/** The pod may be created as it is; a warning is shown to whoever created it. */
export function allow(uid: string, warning?: string): ReviewResponse {
  return envelope({ uid, allowed: true, ...(warning !== undefined && { warnings: [warning] }) });
}

/**
 * The pod may be created with these changes.
 * @param patch a JSON Patch, base64
 */
export function allowPatched(uid: string, patch: string): ReviewResponse {
  return envelope({ uid, allowed: true, patchType: 'JSONPatch', patch });
}

/** The pod may not be created; kubectl prints the message. */
export function deny(uid: string, code: number, message: string): ReviewResponse {
  return envelope({ uid, allowed: false, status: { code, reason: 'BadRequest', message } });
}

const PATCHED = `{"apiVersion":"${REVIEW_VERSION}","kind":"${REVIEW_KIND}","response":{"allowed":true,"patchType":"JSONPatch"`;

/** As JSON.stringify, which would look for what to escape in each of a patch's thousands of base64 digits. */
export function responseText(review: ReviewResponse): string {
  const { uid, patch } = review.response;
  return patch === undefined ? JSON.stringify(review) : `${PATCHED},"uid":${JSON.stringify(uid)},"patch":"${patch}"}}`;
}

function envelope(response: ReviewResponse['response']): ReviewResponse {
  return { apiVersion: REVIEW_VERSION, kind: REVIEW_KIND, response };
}
