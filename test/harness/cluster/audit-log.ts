// What a program asked of the API server, from the audit log, to be compared with what it may.
import { readFile } from 'node:fs/promises';
import { OWN_NAMESPACE } from '../../../lib/contract.ts';
import { node } from './node-side.ts';

export interface AuditEvent {
  stage: string;
  verb: string;
  requestURI: string;
  userAgent?: string;
  user: { username: string; extra?: Record<string, string[]> };
  objectRef?: { resource: string; namespace?: string; name?: string; apiGroup?: string; subresource?: string };
  responseStatus?: { code: number };
  annotations?: Record<string, string>;
}

export interface Role {
  rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

/** All requests of a service account of ours. */
export async function askedBy(account: string): Promise<AuditEvent[]> {
  const user = `system:serviceaccount:${OWN_NAMESPACE}:${account}`;
  const lines = (await readFile(node().auditLog, 'utf8')).split('\n').filter((line) => line.includes(user));
  return lines.map((line) => JSON.parse(line) as AuditEvent).filter(({ user: { username } }) => username === user);
}

/** Verb and resource, as RBAC has them. */
export function grantsOf({ rules }: Role): string[] {
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
  );
}

/** The permission that a request needs. */
export function neededFor({ verb, objectRef }: AuditEvent): string {
  const { apiGroup = '', resource, subresource } = objectRef ?? {};
  return `${verb} ${apiGroup}/${resource}${subresource ? `/${subresource}` : ''}`;
}

/** A request without its resourceVersion, so that repeated ones are equal. */
const questionOf = ({ verb, requestURI }: AuditEvent) => `${verb} ${requestURI.replace(/resourceVersion=\d+&?/, '')}`;

/**
 * Requests that RBAC always refused. An API server that has just been started forbids all until it has read the roles:
 * the same is allowed before and after.
 */
export function forbiddenOf(asked: AuditEvent[]): string[] {
  // Authorization's own word: status 403 is also the answer to a write into a namespace that is being deleted.
  const decided = (decision: string) =>
    asked.filter(({ annotations }) => annotations?.['authorization.k8s.io/decision'] === decision).map(questionOf);
  const allowed = new Set(decided('allow'));
  return decided('forbid').filter((question) => !allowed.has(question));
}
