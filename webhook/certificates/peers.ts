// Which certificate each replica serves, asked from the replicas themselves.
import { once } from 'node:events';
import { connect } from 'node:tls';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE, WEBHOOK_SERVICE } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectsAt, shortText } from '../../lib/json.ts';

const SELECTOR = 'app.kubernetes.io/name=invalid-drop,app.kubernetes.io/component=webhook';
const CONNECT_MS = 2000;

export interface Peer {
  pod: string;
  ready: boolean;
  /** SHA-256 of the certificate that it serves; undefined where it did not answer. */
  fingerprint: string | undefined;
}

/**
 * Asks every replica that runs, this one too.
 * @param port of their HTTPS servers
 */
export async function askPeers(client: ClusterClient, port: number): Promise<Peer[]> {
  const list = await client.get(`/api/v1/namespaces/${OWN_NAMESPACE}/pods`, { labelSelector: SELECTOR });
  const pods = objectsAt(list, 'items').flatMap(runningPod);
  return Promise.all(
    pods.map(async ({ pod, ready, address }) => ({ pod, ready, fingerprint: await servedBy(address, port) })),
  );
}

/** True where every replica that answers, or is Ready, serves this certificate. Pure. */
export function allServe(peers: Peer[], fingerprint: string): boolean {
  return peers.every((peer) => peer.fingerprint === fingerprint || (peer.fingerprint === undefined && !peer.ready));
}

function runningPod({ metadata, status }: JsonObject) {
  if (!isObject(metadata) || !isObject(status)) return [];
  const address = shortText(status['podIP']);
  const ended = status['phase'] === 'Succeeded' || status['phase'] === 'Failed';
  if (address === '' || ended) return [];
  const conditions = objectsAt(status, 'conditions');
  const ready = conditions.some(({ type, status: state }) => type === 'Ready' && state === 'True');
  return [{ pod: shortText(metadata['name']), ready, address }];
}

async function servedBy(host: string, port: number): Promise<string | undefined> {
  // Only the served certificate is read, and nothing is sent: whether it is trusted does not matter here.
  const socket = connect({
    host,
    port,
    servername: `${WEBHOOK_SERVICE}.${OWN_NAMESPACE}.svc`,
    rejectUnauthorized: false,
  });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(CONNECT_MS) });
    return socket.getPeerCertificate().fingerprint256;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}
