// What a client reads that sent something other than an AdmissionReview.
import type { FastifyError, FastifyRequest } from 'fastify';
import type { CodedError } from '../lib/errors.ts';
import { isObject, shortText } from '../lib/json.ts';
import { errors } from './webhook-errors.ts';

/**
 * @param error what fastify reports of a request
 * @param bodyLimit bytes
 * @returns HTTP status, and the error to answer; 500 only where the fault is ours
 */
export function statusAndError(error: FastifyError, request: FastifyRequest, bodyLimit: number): [number, CodedError] {
  if (error.validation) return [400, schemaError(error, request.body)];
  const status = error.statusCode ?? 500;
  if (status === 413) return [413, errors.REVIEW_TOO_LARGE(bodyLimit)];
  if (status === 415) return [415, errors.REVIEW_CONTENT_TYPE(shortText(request.headers['content-type'], 100))];
  if (error instanceof SyntaxError || (status >= 400 && status < 500)) {
    return [400, errors.REVIEW_MALFORMED(shortText(error.message, 200))];
  }
  return [500, errors.INTERNAL()];
}

export function routeUnknown(request: FastifyRequest): CodedError {
  return errors.ROUTE_UNKNOWN(request.method, shortText(request.url, 100));
}

function schemaError(error: FastifyError, body: unknown): CodedError {
  const first = error.validation?.[0];
  const isVersion = first?.instancePath === '/apiVersion' || first?.instancePath === '/kind';
  if (isVersion && isObject(body)) {
    return errors.REVIEW_WRONG_VERSION(shortText(body['apiVersion'], 100), shortText(body['kind'], 100));
  }
  return errors.REVIEW_INVALID(shortText(error.message, 200));
}
