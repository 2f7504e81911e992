// The AdmissionReview envelope (admission.k8s.io/v1): what must be in a request, and how answers look.
import type { JsonObject } from '../../lib/json.ts';

export const REVIEW_VERSION = 'admission.k8s.io/v1';
export const REVIEW_KIND = 'AdmissionReview';

/**
 * JSON schema of the envelope only. The decision reads what is inside `request`, and answers with its own
 * messages; a schema for Pods would be wrong with each new Kubernetes.
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

/** The pod may be created as it is; its creator sees the warning. */
export function allow(uid: string, warning?: string): ReviewResponse {
  return envelope({ uid, allowed: true, ...(warning !== undefined && { warnings: [warning] }) });
}

/**
 * The pod may be created with these changes.
 * @param patch a JSON Patch, base64
 */
export function allowPatched(uid: string, patch: string, warning?: string): ReviewResponse {
  const warnings = warning !== undefined && { warnings: [warning] };
  return envelope({ uid, allowed: true, patchType: 'JSONPatch', patch, ...warnings });
}

/** The pod may not be created; kubectl prints the message. */
export function deny(uid: string, code: number, message: string): ReviewResponse {
  return envelope({ uid, allowed: false, status: { code, reason: 'BadRequest', message } });
}

function envelope(response: ReviewResponse['response']): ReviewResponse {
  return { apiVersion: REVIEW_VERSION, kind: REVIEW_KIND, response };
}
