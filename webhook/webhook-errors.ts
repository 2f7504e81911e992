// Every error of the webhook: a stable code, and a message that says what was wrong, with what value, and what to do.
import { defineErrors } from '../lib/errors.ts';

export const errors = defineErrors({
  ANNOTATION_INVALID: (kind: string, name: string, value: string, allowed: string) =>
    `${kind} ${name}="${value}" is not allowed: use ${allowed}`,
  REVIEW_MALFORMED: (why: string) => `the body is not JSON (${why}): send an AdmissionReview`,
  REVIEW_TOO_LARGE: (limit: number) => `the body is larger than ${limit} bytes: raise --body-limit or send less`,
  REVIEW_CONTENT_TYPE: (type: string) => `content type "${type}" is not accepted: send application/json`,
  REVIEW_WRONG_VERSION: (version: string, kind: string) =>
    `apiVersion "${version}", kind "${kind}" is not accepted: send admission.k8s.io/v1, AdmissionReview`,
  REVIEW_INVALID: (why: string) => `not a valid AdmissionReview request: ${why}`,
  ROUTE_UNKNOWN: (method: string, url: string) => `${method} ${url} is not served: use POST /mutate`,
  INTERNAL: () => "the webhook failed to answer: see the webhook's log",
  CERTIFICATE_UNUSABLE: (path: string) =>
    `tls.crt and tls.key in ${path} do not belong together, or are no PEM: correct what writes them`,
  WEBHOOK_UNREACHABLE: (port: number, why: string) =>
    `no webhook answers on port ${port} of this host (${why}): run this where it runs, or set --metrics-port`,
  CLUSTER_NEEDED: (option: string, value: string) =>
    `${option}="${value}" needs a cluster: set --kubeconfig, or leave ${option} as it is`,
  CLUSTER_CONFIGURATION: (from: string, why: string) =>
    `cannot read the cluster's address and credentials from ${from} (${why}): correct --kubeconfig`,
  GUARD_TARGETS_MISSING: () =>
    'no pod is named: name pods as POD with --namespace, or as NAMESPACE/POD; or give --namespace alone',
  GUARD_TARGET_INVALID: (text: string) => `"${text}" is no pod: write NAMESPACE/POD, or POD with --namespace`,
  GUARD_IMAGE_UNKNOWN: (why: string) =>
    `the webhook's Deployment does not tell which image it injects (${why}): name the image with --image`,
});
