// Every error of the webhook: a stable code, and a message that says what was wrong, with what value, and what to do.
import { CHECKER_PORT_ANNOTATION } from '../lib/contract.ts';
import { defineErrors } from '../lib/errors.ts';

export const errors = defineErrors({
  // A warning of kubectl's: at most 120 characters.
  PORT_DECLARED: (port: number) =>
    `invalid-drop: port ${port} is declared by another container: choose one with ${CHECKER_PORT_ANNOTATION}`,
  REVIEW_MALFORMED: (why: string) => `the body is not JSON (${why}): send an AdmissionReview as JSON`,
  REVIEW_TOO_LARGE: (limit: number) =>
    `the body has more than ${limit} bytes: send a smaller review, or raise the webhook's --body-limit`,
  REVIEW_TOO_COMPLEX: (limit: number) => `the body has more than ${limit} JSON values: send a pod with fewer entries`,
  REVIEWS_TOO_MANY: () =>
    'too many large reviews are waiting for an answer, and this one was given up: create fewer large pods at once',
  REVIEW_CONTENT_TYPE: (type: string) => `content type "${type}" is not accepted: send application/json`,
  REVIEW_WRONG_VERSION: (version: string, kind: string) =>
    `apiVersion "${version}", kind "${kind}" is not accepted: send apiVersion "admission.k8s.io/v1", kind "AdmissionReview"`,
  REVIEW_INVALID: (why: string) => `not a valid AdmissionReview (${why}): send request.uid and the object`,
  ROUTE_UNKNOWN: (method: string, url: string) =>
    `${method} ${url} is not served here: send reviews by POST to /mutate`,
  INTERNAL: () => 'the webhook failed to answer: read its log',
  CERTIFICATE_UNUSABLE: (path: string) =>
    `tls.crt and tls.key in ${path} do not belong together, or are not PEM: correct the program that writes them`,
  WEBHOOK_UNREACHABLE: (port: number, why: string) =>
    `no webhook answers on port ${port} of this host (${why}): run this in the webhook's container, or name its port with --metrics-port`,
  CLUSTER_NEEDED: (option: string, value: string) =>
    `${option}="${value}" needs a cluster: name one with --kubeconfig, or leave ${option} out`,
});
