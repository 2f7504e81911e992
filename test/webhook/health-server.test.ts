import { once } from 'node:events';
import { Counter } from 'prom-client';
import t, { type Test } from 'tap';
import { buildHealthServer, type HealthOptions } from '../../webhook/health-server.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';
import { hostAndPort } from './test-server.ts';

async function serve(t: Test, options: Partial<HealthOptions> = {}) {
  const { server, close } = buildHealthServer({
    registry: createMetrics('1.0.0').registry,
    notReady: () => [],
    ...options,
  });
  t.teardown(close);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (path: string) => fetch(`http://${hostAndPort(server.address())}${path}`);
}

t.test('ready says why it is not, healthy does not care', async (t) => {
  const reasons: string[] = [];
  const get = await serve(t, { notReady: () => reasons });
  const ready = await get('/readyz');
  t.strictSame([ready.status, await ready.json()], [200, { ready: true, reasons: [] }]);
  reasons.push('stopping');
  const stopping = await get('/readyz');
  t.strictSame([stopping.status, await stopping.json()], [503, { ready: false, reasons: ['stopping'] }]);
  t.equal((await get('/healthz')).status, 200);
});

t.test('metrics are in the text format of Prometheus', async (t) => {
  const { registry, admissions } = createMetrics('1.0.0');
  admissions.inc({ result: 'skipped', reason: 'windows' });
  const get = await serve(t, { registry });
  const answer = await get('/metrics');
  const body = await answer.text();
  t.match(answer.headers.get('content-type'), /^text\/plain; version=/);
  t.match(body, 'invalid_drop_admissions_total{result="skipped",reason="windows"} 1');
  t.match(body, 'invalid_drop_build_info{version="1.0.0"} 1');
});

t.test('metrics are collected once a second at most', async (t) => {
  const { registry } = createMetrics('1.0.0');
  let [collected, time] = [0, 0];
  new Counter({
    name: 'asked',
    help: 'asked',
    registers: [registry],
    collect() {
      collected += 1;
    },
  });
  const get = await serve(t, { registry, now: () => time });
  await Promise.all(Array.from({ length: 20 }, () => get('/metrics')));
  t.equal(collected, 1);
  time = 1000;
  await get('/metrics');
  t.equal(collected, 2);
});
