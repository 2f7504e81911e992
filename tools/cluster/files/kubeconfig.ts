// A kubeconfig with one cluster, one user and one context.
import { NETWORK } from '../layout.ts';

/** @param credentials paths of PEM files */
export function kubeconfig(credentials: { ca: string; cert: string; key: string }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'cluster', cluster: { server: NETWORK.apiServer, 'certificate-authority': credentials.ca } }],
    users: [{ name: 'user', user: { 'client-certificate': credentials.cert, 'client-key': credentials.key } }],
    contexts: [{ name: 'cluster', context: { cluster: 'cluster', user: 'user' } }],
    'current-context': 'cluster',
  });
}
