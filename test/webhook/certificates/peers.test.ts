import { once } from 'node:events';
import { createServer } from 'node:tls';
import t from 'tap';
import type { ClusterClient } from '../../../lib/cluster/cluster-client.ts';
import { makeCertificate } from '../../../webhook/certificates/make-certificates.ts';
import { allServe, askPeers } from '../../../webhook/certificates/peers.ts';
import { fingerprint } from '../../../webhook/certificates/read-certificates.ts';

const certificate = await makeCertificate(new Date());
const print = fingerprint(certificate.cert);

function clusterOf(items: object[]): ClusterClient {
  return { get: async () => ({ items }) } as unknown as ClusterClient;
}

const pod = (name: string, podIP: string, { ready = true, phase = 'Running' } = {}) => ({
  metadata: { name },
  status: { podIP, phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});

t.test('each replica that runs is asked what it serves; one that does not answer has no certificate', async (t) => {
  const server = createServer({ key: certificate.key, cert: certificate.cert });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const peers = await askPeers(
    clusterOf([
      pod('serving', '127.0.0.1'),
      pod('silent', '127.0.0.2', { ready: false }),
      pod('ended', '127.0.0.1', { phase: 'Succeeded' }),
      { metadata: { name: 'pending' }, status: { phase: 'Pending' } },
      {},
    ]),
    port,
  );
  t.strictSame(peers, [
    { pod: 'serving', ready: true, fingerprint: print },
    { pod: 'silent', ready: false, fingerprint: undefined },
  ]);
});

t.test('all serve it only where nobody whom clients are sent to may serve another', async (t) => {
  const serving = { pod: 'a', ready: true, fingerprint: print };
  t.ok(allServe([], print));
  t.ok(allServe([serving, { ...serving, ready: false }], print));
  t.ok(allServe([serving, { pod: 'b', ready: false, fingerprint: undefined }], print), 'it has not come up');
  t.notOk(allServe([serving, { pod: 'b', ready: true, fingerprint: undefined }], print));
  t.notOk(allServe([serving, { pod: 'b', ready: false, fingerprint: 'old' }], print), 'it drains and is still asked');
});
