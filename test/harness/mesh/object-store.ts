// The application behind the gateway: it takes uploads on port 9000.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { OPT_IN_LABEL } from '../../../lib/contract.ts';
import { PORT, routeObjects } from '../../../tools/mesh/istio-installation.ts';
import { apply } from '../cluster/kubectl.ts';
import { APP_IMAGE, type Container, type Pod, waitReady } from '../cluster/pod-status.ts';
import { plainNamespace } from '../cluster/test-workloads.ts';

const SCRIPT = readFileSync(fileURLToPath(new URL('../traffic/app.ts', import.meta.url)), 'utf8');
/** Envoy and the application have to be pulled up on a busy machine. */
const READY_LIMIT = 180_000;

/** A namespace whose pods Istio injects, and we too where it is opted in. */
export function meshNamespace(t: Test, optedIn: boolean): Promise<string> {
  return plainNamespace(t, {
    'istio-injection': 'enabled',
    ...(optedIn ? { [OPT_IN_LABEL]: 'enabled' } : {}),
  });
}

/** The container; its probe goes through what Istio makes of it. */
export function storeContainer(change: Partial<Container> = {}): Container {
  return {
    name: 'app',
    image: APP_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', '--input-type=module-typescript', '-e', SCRIPT],
    ports: [{ containerPort: PORT }],
    readinessProbe: { httpGet: { path: '/', port: PORT }, periodSeconds: 1 },
    ...change,
  };
}

/** A bare pod `name` with the label `app=name`. @param annotations of the pod @param spec members beside containers */
export function storePod(
  namespace: string,
  name: string,
  annotations: Record<string, string> = {},
  spec: { containers?: Container[]; [key: string]: unknown } = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name }, annotations },
    spec: { terminationGracePeriodSeconds: 1, containers: [storeContainer()], ...spec },
  };
}

/** Makes the pod and its way from the gateway, and waits until it is Ready. */
export async function runStore(
  namespace: string,
  name: string,
  ...how: [Record<string, string>?, Record<string, unknown>?]
): Promise<Pod> {
  await apply(...routeObjects(namespace, name), storePod(namespace, name, ...how));
  return waitReady(namespace, name, READY_LIMIT);
}
