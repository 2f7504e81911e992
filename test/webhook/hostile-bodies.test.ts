// None may crash the server or get a 5xx, and it must still serve afterwards.
import t from 'tap';
import { creationOf } from './admission/injection-settings.ts';
import { HOSTILE_BODIES } from './hostile-bodies.ts';
import { reviewOf, testServer } from './test-server.ts';

const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };

t.test('hostile bodies get a clear answer, never a 5xx', async (t) => {
  const { server, lines } = testServer({ logLevel: 'debug' });
  t.teardown(() => server.close());
  for (const [name, payload] of HOSTILE_BODIES) {
    const before = lines.length;
    const headers = { 'content-type': 'application/json' };
    const response = await server.inject({ method: 'POST', url: '/mutate', payload, headers });
    const answer = response.json();
    t.ok([200, 400, 413].includes(response.statusCode), `${name}: ${response.statusCode}`);
    if (response.statusCode === 200) t.equal(typeof answer.response.allowed, 'boolean', name);
    else t.match(answer, { code: String, message: String }, name);
    const written = lines.slice(before);
    t.ok(written.length === 1 && JSON.stringify(written).length < 2500, `${name}: one short log line`);
    t.notOk(
      written.some((line) => Number(line['level']) >= 50),
      `${name}: no error of ours`,
    );
  }
  t.equal(({} as { polluted?: boolean }).polluted, undefined, 'no prototype was changed');
  const after = await server.inject({ method: 'POST', url: '/mutate', payload: reviewOf(creationOf(POD)) });
  t.equal(after.json().response.patchType, 'JSONPatch', 'and the next pod is patched');
});
