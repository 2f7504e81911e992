// Workloads of each kind, with one application container, as objects to apply.
import { appContainer, podSpec } from './pod-status.ts';

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
