// The injector of a mesh as far as it concerns ours, as a webhook of the cluster that runs in the test's own process.
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import jsonPatch from 'fast-json-patch';
import type { Test } from 'tap';
import { makeCertificate } from '../../../webhook/certificates/make-certificates.ts';
import { injectIstio } from '../../webhook/admission/istio-injector.ts';
import type { PatchedPod } from '../../webhook/admission/patched-pod.ts';
import { apply, kubectl } from './kubectl.ts';
import { APP_IMAGE } from './pod-status.ts';

interface Review {
  apiVersion: string;
  kind: string;
  request: { uid: string; object: PatchedPod };
}

/** Istio's, with containers that never run. */
export function runIstioInjector(t: Test, name: string, namespace: string): Promise<void> {
  return runInjector(t, name, namespace, (pod) => {
    if (pod.metadata.annotations?.['sidecar.istio.io/status']) return pod;
    const injected = injectIstio(pod, true);
    for (const container of injected.spec.initContainers ?? []) container['image'] ??= APP_IMAGE;
    return injected;
  });
}

/**
 * Serves on loopback, where the API server of our own cluster reaches it, and registers for one namespace.
 * @param name of the webhook configuration: API servers call them in the order of their names
 * @param inject gives the pod as the injector leaves it; the same pod where there is nothing to do
 */
export async function runInjector(
  t: Test,
  name: string,
  namespace: string,
  inject: (pod: PatchedPod) => PatchedPod,
): Promise<void> {
  const { cert, key, ca } = await makeCertificate(new Date());
  const server = createServer({ cert, key }, async (request, response) => {
    const { apiVersion, kind, request: review } = (await json(request)) as Review;
    const operations = jsonPatch.compare(review.object, inject(review.object));
    const patch = Buffer.from(JSON.stringify(operations)).toString('base64');
    const answer = { uid: review.uid, allowed: true, patchType: 'JSONPatch', patch };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ apiVersion, kind, response: answer }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  t.teardown(async () => {
    await kubectl(['delete', 'mutatingwebhookconfiguration', name, '--ignore-not-found']);
    server.close();
    server.closeAllConnections();
  });
  await apply(configuration(name, namespace, port, ca));
}

function configuration(name: string, namespace: string, port: number, ca: string): object {
  const clientConfig = { url: `https://127.0.0.1:${port}/inject`, caBundle: Buffer.from(ca).toString('base64') };
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: 'e2e.mesh.example',
        clientConfig,
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  };
}
