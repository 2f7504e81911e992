// What a failed request means for the person who runs the command: which right is missing, or what does not answer. Pure.
import { ApiError, reasonOf } from '../lib/cluster/api-error.ts';
import { CodedError } from '../lib/errors.ts';
import { errors } from './cli-errors.ts';

/**
 * Words of the API server (apiserver/pkg/endpoints/handlers/responsewriters/errors.go):
 * `User "jane" cannot list resource "pods" in API group "" in the namespace "storage"`, or `at the cluster scope`.
 */
const FORBIDDEN =
  /User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)" (?:in the namespace "([^"]*)"|at the cluster scope)/;

/** A right that the API server says is missing. */
export interface MissingRight {
  /** As the API server knows the person, such as system:serviceaccount:ci:deployer. */
  who: string;
  verb: string;
  /** With its subresource, such as pods/portforward. */
  resource: string;
  group: string;
  /** undefined: for the whole cluster. */
  namespace: string | undefined;
}

/** @returns undefined where the error is no refusal by RBAC */
export function missingRight(error: unknown): MissingRight | undefined {
  if (!(error instanceof ApiError) || error.status !== 403) return undefined;
  const found = FORBIDDEN.exec(error.message);
  if (found === null) return undefined;
  const [, who = '', verb = '', resource = '', group = '', namespace] = found;
  return { who, verb, resource, group, namespace };
}

/** The error that a command reports: coded, and it says what to do. An error of our own bugs stays as it is. */
export function explainFailure(error: unknown): unknown {
  if (error instanceof CodedError) return error;
  const right = missingRight(error);
  if (right !== undefined) return rightError(right);
  if (!(error instanceof ApiError)) return isOfNetwork(error) ? errors.CLUSTER_UNREACHABLE(reasonOf(error)) : error;
  if (error.status === 401) return errors.CREDENTIALS_REFUSED(reasonOf(error));
  return errors.CLUSTER_REFUSES(reasonOf(error));
}

/** One sentence of anything thrown, for a line of a report. */
export function failureText(error: unknown): string {
  const explained = explainFailure(error);
  return explained instanceof Error ? explained.message : String(explained);
}

export function rightError({ who, verb, resource, group, namespace }: MissingRight): CodedError {
  const where = namespace === undefined ? 'in the whole cluster' : `in namespace ${namespace}`;
  const name = group === '' ? resource : `${resource} (API group ${group})`;
  const rule = JSON.stringify({ apiGroups: [group], resources: [resource], verbs: [verb] });
  return errors.RIGHT_MISSING(`"${who}"`, `${verb} ${name}`, where, rule);
}

const NETWORK = /^(?:E[A-Z]+|UND_ERR_\w+|CERT_\w+|.*_CERT\w*|ERR_TLS\w+|ERR_SSL\w+)$/;

function isOfNetwork(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'TimeoutError' || error.name === 'AbortError' || error.message === 'fetch failed') return true;
  const code = (one: unknown) => (one as { code?: unknown } | undefined)?.code;
  return [code(error), code(error.cause)].some((one) => typeof one === 'string' && NETWORK.test(one));
}
