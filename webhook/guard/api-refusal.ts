// What an answer of the API server that is no success means. Pure.
import { ApiError, reasonOf } from '../cluster/api-error.ts';
import type { Outcome } from './guard-outcomes.ts';

/** What was asked of the API server, and the permission that it takes. */
export const PERMISSIONS = {
  read: 'get pods',
  list: 'list pods',
  change: 'patch pods/ephemeralcontainers',
} as const;
export type Action = keyof typeof PERMISSIONS;

/** Words of Pod Security (k8s.io/pod-security-admission) and of RBAC (apiserver/pkg/endpoints/handlers/responsewriters). */
const POD_SECURITY = /violates PodSecurity "([^"]*)"/;
const RBAC = /is forbidden: User "/;

/** @param error what the call was rejected with */
export function refusalOf(error: unknown, action: Action, namespace: string): { outcome: Outcome; detail: string } {
  const reason = reasonOf(error);
  if (!(error instanceof ApiError)) return { outcome: 'error', detail: reason };
  const level = POD_SECURITY.exec(error.message)?.[1];
  if (level !== undefined) return { outcome: 'pod-security', detail: `the namespace enforces "${level}"` };
  if (error.status === 401) return { outcome: 'forbidden', detail: `the API server does not know you (${reason})` };
  if (error.status === 403 && RBAC.test(error.message))
    return { outcome: 'forbidden', detail: `needs permission to ${PERMISSIONS[action]} in namespace ${namespace}` };
  if (error.status === 404) return { outcome: 'not-found', detail: '' };
  return { outcome: error.status >= 500 || error.status === 429 ? 'error' : 'refused', detail: reason };
}
