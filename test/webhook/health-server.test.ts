import t from 'tap';
import { buildHealthServer } from '../../webhook/health-server.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';

t.test('ready says why it is not, healthy does not care', async (t) => {
  const reasons: string[] = [];
  const { registry } = createMetrics('1.0.0');
  const server = buildHealthServer({ registry, notReady: () => reasons });
  t.teardown(() => server.close());
  const ready = await server.inject('/readyz');
  t.strictSame([ready.statusCode, ready.json()], [200, { ready: true, reasons: [] }]);
  reasons.push('stopping');
  const stopping = await server.inject('/readyz');
  t.strictSame([stopping.statusCode, stopping.json()], [503, { ready: false, reasons: ['stopping'] }]);
  t.equal((await server.inject('/healthz')).statusCode, 200);
});

t.test('metrics are in the text format of Prometheus', async (t) => {
  const { registry, admissions } = createMetrics('1.0.0');
  admissions.inc({ result: 'skipped', reason: 'windows' });
  const server = buildHealthServer({ registry, notReady: () => [] });
  t.teardown(() => server.close());
  const { headers, body } = await server.inject('/metrics');
  t.match(headers['content-type'], /^text\/plain; version=/);
  t.match(body, 'invalid_drop_admissions_total{result="skipped",reason="windows"} 1');
  t.match(body, 'invalid_drop_build_info{version="1.0.0"} 1');
});
