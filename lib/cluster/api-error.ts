// Errors of the API server. Apart from cluster-client.ts, because that file loads the large client library.
import { type JsonObject, objectAt, shortText } from '../json.ts';

/** An answer of the API server that is no success. */
export class ApiError extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Machine-readable reason of the Status object, such as AlreadyExists; '' where there is none. */
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.reason = reason;
  }
}

/** One line for a log; an error of the client may hold whole response bodies, and "fetch failed" hides its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return shortText(String(error), 200);
  const { cause } = error;
  const text = cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
  return shortText(text, 200).replaceAll('\n', ' ');
}

/** A refusal of RBAC names user, verb, resource, group and namespace, each of which may be long. */
const LONGEST_MESSAGE = 1500;

/** @param body of an answer that is no success: a Status object, or anything else */
export function answerError(httpStatus: number, body: string): ApiError {
  const status = parseStatus(body);
  const message = shortText(status['message'], LONGEST_MESSAGE) || shortText(body, 200);
  return new ApiError(httpStatus, shortText(status['reason'], 60), `status ${httpStatus}: ${message}`);
}

function parseStatus(text: string): JsonObject {
  try {
    return objectAt(JSON.parse(text));
  } catch {
    return {};
  }
}
