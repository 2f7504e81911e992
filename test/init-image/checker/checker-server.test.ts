import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { METRICS, renderMetrics } from '../../../init-image/checker/checker-metrics.ts';
import { makeCheckerServer } from '../../../init-image/checker/checker-server.ts';
import { askNotReady } from '../../../init-image/checker/readiness-probe.ts';
import type { CheckerReport } from '../../../lib/checker/checker-report.ts';
import { BARE, GUARDED } from '../../lib/netfilter/made-checks.ts';
import { reportOf } from './checker-reports.ts';

async function makerOf(rules: string): Promise<() => CheckerReport> {
  const report = await reportOf(rules);
  return () => report;
}

async function serve(t: Test, report: () => CheckerReport, notReady: () => string | undefined, now?: () => number) {
  const { server, close } = makeCheckerServer(report, notReady, now);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(close);
  const { port } = server.address() as AddressInfo;
  return { port, get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init) };
}

t.test('readyz says yes or why not, and the probe agrees', async (t) => {
  let reason: string | undefined;
  const { port, get } = await serve(t, await makerOf(GUARDED), () => reason);
  t.equal((await get('/readyz')).status, 200);
  t.equal(await askNotReady(port, 5000), undefined);
  reason = 'ipv4 on eth0: no rule';
  const answer = await get('/readyz');
  t.equal(answer.status, 503);
  t.equal(await answer.text(), 'ipv4 on eth0: no rule\n');
  t.equal(await askNotReady(port, 5000), reason);
});

t.test('the probe says no where nobody listens', async (t) => {
  const { port } = await serve(t, await makerOf(GUARDED), () => undefined);
  t.match(await askNotReady(port === 65535 ? 1 : port + 1, 5000), /ECONNREFUSED/);
});

t.test('selfcheck is 200 only while guarded, and is the whole report in both cases', async (t) => {
  const good = await serve(t, await makerOf(GUARDED), () => undefined);
  const bad = await serve(t, await makerOf(BARE), () => undefined);
  const [yes, no] = await Promise.all([good.get('/selfcheck'), bad.get('/selfcheck?x=1')]);
  t.equal(yes.status, 200);
  t.match(await yes.json(), {
    guarded: true,
    result: 'guarded',
    families: { ipv4: { external: { mustDrop: { holds: 'yes', rules: [{ owner: 'invalid-drop', packets: 0 }] } } } },
    evidence: { conntrackInvalid: 12, tcpResetsSent: null },
    monitor: { running: true, restarts: 2 },
  });
  t.equal(no.status, 503);
  t.match(await no.json(), {
    guarded: false,
    result: 'not guarded',
    families: { ipv6: { loopback: { mustDrop: { reason: String } } } },
  });
});

t.test('a page that needs work is made once a second at most, whoever asks, and readiness is never old', async (t) => {
  const good = await reportOf(GUARDED);
  const bad = await reportOf(BARE);
  let [time, made, guarded] = [0, 0, true];
  const report = () => {
    made += 1;
    return guarded ? good : bad;
  };
  const { get } = await serve(
    t,
    report,
    () => (guarded ? undefined : 'no rule'),
    () => time,
  );
  await Promise.all(Array.from({ length: 20 }, () => get('/selfcheck')));
  t.equal(made, 1);
  await Promise.all(Array.from({ length: 20 }, () => get('/metrics')));
  t.equal(made, 2);
  guarded = false;
  t.equal((await get('/readyz')).status, 503);
  t.equal((await get('/selfcheck')).status, 200);
  time = 1000;
  t.equal((await get('/selfcheck')).status, 503);
  t.equal(made, 3);
});

t.test('strange requests get a clear answer and never end the server', async (t) => {
  const { get } = await serve(
    t,
    () => {
      throw new Error('secret');
    },
    () => undefined,
  );
  t.equal((await get('/healthz')).status, 200);
  t.equal((await get('/healthz', { method: 'POST', body: 'x' })).status, 405);
  for (const path of ['//', '/%', '/__proto__', '/constructor', '/readyz/'])
    t.equal((await get(path)).status, 404, path);
  const failed = await get('/metrics');
  t.equal(failed.status, 500);
  t.notMatch(await failed.text(), /secret/);
  t.equal((await get('/healthz')).status, 200);
});

t.test('metrics are what Prometheus reads, and unknown numbers are left out', async (t) => {
  const text = renderMetrics(await reportOf(GUARDED));
  t.match(text, 'invalid_drop_build_info{version="0.1.0",kernel="6.1.0 \\"x\\"\\\\"} 1\n');
  t.match(text, 'invalid_drop_guarded{family="ipv4",interface="external"} 1\n');
  t.match(text, 'invalid_drop_conntrack_invalid_total 12\n');
  t.match(text, 'invalid_drop_monitor_restarts_total 2\n');
  t.match(text, 'invalid_drop_verdict_unknown{family="ipv4",interface="external"} 0\n');
  t.match(text, 'invalid_drop_ready 1\n');
  t.notMatch(text, 'tcp_resets_sent');
  const line = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? [0-9.e+-]+)$/;
  for (const one of text.trimEnd().split('\n')) t.match(one, line);
});

t.test('a report says when it checked last and how often, and whether the pod is ready', async (t) => {
  t.match(await reportOf(GUARDED), {
    ready: true,
    notReady: undefined,
    intervalSeconds: 10,
    lastCheck: '1970-01-01T00:00:00.000Z',
  });
  t.match(await reportOf(BARE), { ready: false, notReady: /^ipv4 on/ });
});

t.test('the page is served as the type that Prometheus asks for', async (t) => {
  const { get } = await serve(t, await makerOf(GUARDED), () => undefined);
  const answer = await get('/metrics');
  t.equal(answer.status, 200);
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
});

t.test('a pod that is not guarded shows 0, and one that was never looked at shows no verdict', async (t) => {
  t.match(renderMetrics(await reportOf(BARE)), 'invalid_drop_guarded{family="ipv6",interface="loopback"} 0\n');
  const unseen = { ...(await reportOf(GUARDED)), families: null, lastCheck: null };
  t.notMatch(renderMetrics(unseen as CheckerReport), /invalid_drop_(guarded|last_look)/);
});

t.test('a metric has the labels that it declares, and no other', async (t) => {
  const text = renderMetrics(await reportOf(GUARDED));
  for (const { name, labels } of METRICS) {
    for (const [, list = ''] of text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? `, 'gm'))) {
      t.same(
        [...list.matchAll(/(\w+)="/g)].map(([, label]) => label),
        labels,
        name,
      );
    }
  }
});
