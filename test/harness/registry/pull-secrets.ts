// Pull secrets as docs/install.md has them.
import { OWN_NAMESPACE } from '../../../lib/contract.ts';
import { PAUSE_IMAGE } from '../../../tools/cluster/cluster-files.ts';
import { apply, kubectl } from '../cluster/kubectl.ts';
import { barePod } from '../cluster/pod-status.ts';
import { configure } from '../cluster/webhook-installation.ts';
import { dockerConfigOf, type RegistryAccess } from './registry-server.ts';

/** Name of the Secret in each namespace. */
export const PULL_SECRET = 'invalid-drop-registry';

/** Makes the pull secret with the registry's password in a namespace. */
export function addPullSecret(access: RegistryAccess, namespace: string): Promise<string> {
  return apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: PULL_SECRET, namespace },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify(dockerConfigOf(access)) },
  });
}

/** Lets an installation of plain manifests pull, and guarded pods too. Waits for the rollout. */
export async function usePullSecret(access: RegistryAccess): Promise<void> {
  await addPullSecret(access, OWN_NAMESPACE);
  const patch = JSON.stringify({ imagePullSecrets: [{ name: PULL_SECRET }] });
  await kubectl(['patch', 'serviceaccount', '-n', OWN_NAMESPACE, 'invalid-drop-webhook', '-p', patch]);
  await configure({ INVALID_DROP_IMAGE_PULL_SECRETS: PULL_SECRET });
}

/** A pod whose own image every node has: only what is added to it has to be pulled. */
export function pausePod(namespace: string, name: string, change: object = {}, metadata: object = {}) {
  const containers = [{ name: 'app', image: PAUSE_IMAGE, imagePullPolicy: 'Never' }];
  return barePod(namespace, name, { containers, ...change }, metadata);
}
