// Namespaces and workloads of each kind that tests make.
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { OPT_IN_LABEL } from '../../../lib/contract.ts';
import { createNamespace, kubectl } from './kubectl.ts';
import { appContainer, podSpec } from './pod-status.ts';

/** @param labels beside the opt-in @returns its name */
export async function optedInNamespace(t: Test, labels: Record<string, string> = {}): Promise<string> {
  return plainNamespace(t, { [OPT_IN_LABEL]: 'enabled', ...labels });
}

/** A namespace that is not opted in. */
export async function plainNamespace(t: Test, labels: Record<string, string> = {}): Promise<string> {
  const name = `e2e-${randomBytes(4).toString('hex')}`;
  await createNamespace(name, labels);
  t.teardown(() => kubectl(['delete', 'namespace', name, '--wait=false', '--ignore-not-found']));
  return name;
}

/** A program that ends by itself, for Jobs. */
const ENDS = 'setTimeout(() => {}, 300)';

type Make = (namespace: string, name: string, change?: object) => object;

const template = (name: string, change: object) => ({ metadata: { labels: { app: name } }, spec: podSpec(change) });

const running = (kind: string, own: object): Make => {
  return (namespace, name, change = {}) => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: { ...own, selector: { matchLabels: { app: name } }, template: template(name, change) },
  });
};

const jobSpec = (name: string, change: object) => ({
  backoffLimit: 0,
  template: template(name, { restartPolicy: 'Never', containers: [appContainer('app', ENDS)], ...change }),
});

/** Makers by kind: those whose pods stay. The pods have the label `app` with the workload's name. */
export const STAYING = {
  Deployment: running('Deployment', { replicas: 1 }),
  StatefulSet: running('StatefulSet', { replicas: 1, serviceName: 'none' }),
  DaemonSet: running('DaemonSet', {}),
};

export const job: Make = (namespace, name, change = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name, namespace },
  spec: jobSpec(name, change),
});

/** Never by its schedule: `kubectl create job --from` runs it. */
export const cronJob: Make = (namespace, name, change = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name, namespace },
  spec: { schedule: '0 0 31 2 *', jobTemplate: { spec: jobSpec(name, change) } },
});
