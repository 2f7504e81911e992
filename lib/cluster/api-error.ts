// Errors of the API server. Apart from cluster-client.ts, because that file loads the large client library.
import { shortText } from '../json.ts';

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
