// Namespaces and pods of the bench.
import { OPT_IN_LABEL, type OPT_IN_VALUES } from '../../lib/contract.ts';
import { appContainer, isInjected } from '../../test/harness/cluster/pod-status.ts';
import { eventually } from '../../test/harness/wait-until.ts';
import { type Api, type ApiJson, inParallel } from './bench-api.ts';

/** No scheduler has this name, so that its pods are stored and never run. */
const NO_SCHEDULER = 'none';
const ACCOUNTS_LIMIT = 90_000;

/** A namespace of this run: on a user's cluster the one of the last run may still be there. */
export const namespaceFor = (what: string) => `bench-${process.pid}-${what}`;

export function podIn(namespace: string, name: string, spec: object = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { 'app.kubernetes.io/name': name.replace(/-\d+$/, '') } },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [appContainer()],
      ...spec,
    },
  };
}

export function pendingPod(namespace: string, name: string) {
  return podIn(namespace, name, { schedulerName: NO_SCHEDULER });
}

export const podsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;

/** Waits until the API server reaches the webhook. */
export async function waitForInjection(api: Api, namespace: string): Promise<void> {
  const path = `${podsOf(namespace)}?dryRun=All`;
  const tried = async () => isInjected(await api.ask('POST', path, pendingPod(namespace, 'tried')));
  await eventually('a pod of an opted-in namespace is injected', tried);
}

/**
 * Makes namespaces and waits for their default ServiceAccount, without which no pod can be made.
 * @param optIn value of the label; none where they are not opted in
 */
export async function addNamespaces(api: Api, names: string[], optIn?: (typeof OPT_IN_VALUES)[number]): Promise<void> {
  const labels = optIn === undefined ? {} : { [OPT_IN_LABEL]: optIn };
  await inParallel(names.length, (i) =>
    api.ask('POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: names[i], labels },
    }),
  );
  await eventually(
    `${names.length} namespaces have a ServiceAccount`,
    async () => {
      const { items } = await api.ask('GET', `/api/v1/serviceaccounts?fieldSelector=metadata.name%3Ddefault`);
      const namespaces = new Set(items.map(({ metadata }: ApiJson) => metadata.namespace));
      return names.every((name) => namespaces.has(name));
    },
    ACCOUNTS_LIMIT,
  );
}
