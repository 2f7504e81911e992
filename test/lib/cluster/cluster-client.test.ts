// How the client connects, against a small API server on loopback.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { connectCluster } from '../../../lib/cluster/cluster-client.ts';
import { kubeconfigFor, startFakeApiServer } from '../../webhook/fake-api-server.ts';

async function connect(t: Test) {
  const api = await startFakeApiServer([]);
  t.teardown(() => api.close());
  const path = join(t.testdir({}), 'kubeconfig');
  writeFileSync(path, kubeconfigFor(api, { token: 'x' }));
  return { api, client: connectCluster(path) };
}

/** Has the API server answer each request with a status. */
const answerWith = (status: number) => () => ({ status, body: { kind: 'Status', reason: 'Told' } });

const refused = (status: number) => new RegExp(`status ${status}`);

t.test('requests that follow one another share their connections, also those that are refused', async (t) => {
  const { api, client } = await connect(t);
  for (let i = 0; i < 5; i++) await client.get('/api/v1/namespaces');
  api.answer = answerWith(409);
  await t.rejects(client.create('/api/v1/namespaces', {}), refused(409));
  api.answer = undefined;
  await client.get('/api/v1/namespaces');
  // The second may be asked before the first connection is known to be free.
  t.ok(api.connections <= 2, `${api.connections} connections for 7 requests`);
});

t.test('after a request that did not come through, or was not authenticated, the next connects anew', async (t) => {
  const { api, client } = await connect(t);
  await client.get('/api/v1/namespaces');
  api.answer = answerWith(401);
  await t.rejects(client.get('/api/v1/namespaces'), refused(401));
  const before = api.connections;
  api.answer = undefined;
  await client.get('/api/v1/namespaces');
  t.equal(api.connections, before + 1);
  const aborted = AbortSignal.abort(new Error('no time'));
  await t.rejects(client.watch('/api/v1/namespaces', {}, aborted, () => {}).next(), /no time/);
  await client.get('/api/v1/namespaces');
  t.equal(api.connections, before + 2);
});
