// The webhook as its users install it.
import { fileURLToPath } from 'node:url';
import { OPT_IN_LABEL, OWN_NAMESPACE, WEBHOOK_CONFIGURATION } from '../../../lib/contract.ts';
import { Program } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';
import { createNamespace, getJson, getRaw, kubectl } from './kubectl.ts';
import { barePod, isInjected } from './pod-status.ts';

export const MANIFESTS = fileURLToPath(new URL('../../../manifests', import.meta.url));
const SERVICE_PROXY = `/api/v1/namespaces/${OWN_NAMESPACE}/services/invalid-drop-webhook:metrics/proxy`;
const DEPLOYMENT = ['deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE];

/**
 * `kubectl apply -k manifests`, then waits until both replicas are Ready. Changes nothing where it is installed
 * already.
 */
export async function install(overlay = MANIFESTS): Promise<void> {
  await kubectl(['apply', '-k', overlay]);
  await rolledOut();
  await admissionsArrive();
}

/**
 * Waits until a pod that is created is injected. API server and kube-proxy hear of a new configuration and of new
 * replicas a moment after these are Ready, and until then pods are created as they are.
 */
export async function admissionsArrive(): Promise<void> {
  const name = 'e2e-admissions';
  const labels = { [OPT_IN_LABEL]: 'enabled' };
  await createNamespace(name, labels);
  const input = JSON.stringify(barePod(name, 'canary'));
  await eventually('a pod that is created is injected', async () => {
    const printed = await kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], { input });
    return isInjected(JSON.parse(printed));
  });
}

/** @param operations of a JSON Patch of the MutatingWebhookConfiguration */
export async function patchConfiguration(operations: object[]): Promise<void> {
  const name = ['mutatingwebhookconfiguration', WEBHOOK_CONFIGURATION];
  await kubectl(['patch', ...name, '--type=json', '-p', JSON.stringify(operations)]);
}

/** Waits until every replica is new and Ready, and no old one is left. */
export async function rolledOut(): Promise<void> {
  await kubectl(['rollout', 'status', ...DEPLOYMENT, '--timeout=120s'], { limit: 130_000 });
  await eventually('old replicas are gone', async () => {
    const { items } = await getJson<{ items: unknown[] }>(
      'pods',
      '-n',
      OWN_NAMESPACE,
      '-l',
      'app.kubernetes.io/component=webhook',
    );
    return items.length === 2;
  });
}

/** `kubectl delete -k manifests`, then waits until its namespace is gone. */
export async function uninstall(overlay = MANIFESTS): Promise<void> {
  await kubectl(['delete', '-k', overlay, '--ignore-not-found', '--timeout=90s'], { limit: 100_000 });
}

/** Sets environment variables of the Deployment and waits for the rollout. An empty value unsets one. */
export async function configure(variables: Record<string, string>): Promise<void> {
  const settings = Object.entries(variables).map(([name, value]) => (value === '' ? `${name}-` : `${name}=${value}`));
  await kubectl(['set', 'env', ...DEPLOYMENT, ...settings]);
  await rolledOut();
}

/** A page of the webhook's plain port, from one of the replicas: /coverage, /selfcheck, /metrics. */
export function askWebhook(path: string): Promise<string> {
  return getRaw(`${SERVICE_PROXY}${path}`);
}

/** As askWebhook, from a replica's own pod: it is told names too. */
export function askInPod(path: string): Promise<string> {
  const ask = `fetch('http://127.0.0.1:8080${path}').then((answer) => answer.text()).then(console.log)`;
  return kubectl(['exec', ...DEPLOYMENT, '--', 'node', '-e', ask]);
}

/** The plain port of one replica's own pod, as an operator reaches it: kubectl port-forward. */
export async function forwardWebhook(): Promise<{ address: string; stop(): Promise<unknown> }> {
  const [deployment = '', ...namespace] = DEPLOYMENT;
  const forward = new Program('kubectl', ['port-forward', ...namespace, deployment, ':8080']);
  await forward.waitForOutput(/Forwarding from 127\.0\.0\.1:\d+/);
  const port = /127\.0\.0\.1:(\d+)/.exec(forward.output)?.[1];
  return { address: `http://127.0.0.1:${port}`, stop: () => forward.stop() };
}
