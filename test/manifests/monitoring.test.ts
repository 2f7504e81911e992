import { readFile } from 'node:fs/promises';
import { loadYaml } from '@kubernetes/client-node';
import t from 'tap';
import { METRICS } from '../../init-image/checker/checker-metrics.ts';
import { KINDS } from '../../lib/resets/reset-kind.ts';
import { AGENT_METRICS } from '../../node-agent/pages/agent-metrics.ts';
import { RESET_METRICS } from '../../node-agent/resets/reset-metrics.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { createCoverageMetrics } from '../../webhook/coverage/coverage-metrics.ts';
import { COVERAGE_REASONS, isGuarded, REASONS } from '../../webhook/coverage/coverage-reasons.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Alert {
  alert: string;
  expr: string;
  annotations: { summary: string; runbook_url: string };
  labels: { severity: string };
}
interface Rules {
  groups: { rules: Alert[] }[];
}

/** Absolute, since an alert is read far from the repository; `make release` sets another repository or version. */
const RUNBOOK = `${packageJson.repository}/blob/v${packageJson.version}/docs/runbook.md`;
const rules = loadYaml<Rules>(await read('manifests/monitoring/rules.yaml'));
const alerts = rules.groups.flatMap((group) => group.rules);
const dashboard = await read('manifests/monitoring/dashboard.json');
const { registry } = createMetrics('0');
createCoverageMetrics(registry, () => undefined);
const known = new Set(
  [...registry.getMetricsAsArray(), ...METRICS, ...AGENT_METRICS, ...RESET_METRICS].map(({ name }) => name),
);

t.test('the rules for the operator are the plain ones', async (t) => {
  const { spec } = loadYaml<{ spec: Rules }>(await read('manifests/monitoring/prometheus-rule.yaml'));
  t.strictSame(spec, rules);
});

t.test('every metric that rules and dashboard name is one of ours', async (t) => {
  const text = alerts.map(({ expr }) => expr).join('\n') + dashboard;
  const named = new Set([...text.matchAll(/invalid_drop_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, '')));
  t.ok(named.size > 10);
  for (const name of named) t.ok(known.has(name), name);
});

t.test('every reason that rules and dashboard name is one of ours', async (t) => {
  const text = alerts.map(({ expr }) => expr).join('\n') + JSON.stringify(JSON.parse(dashboard)).replaceAll('\\"', '"');
  const lists = [...text.matchAll(/coverage_pods\{reason[=!]~?"([^"]+)"/g)].flatMap(([, list = '']) => list.split('|'));
  t.ok(lists.length > 4);
  for (const reason of lists) t.ok(reason in COVERAGE_REASONS, reason);
});

t.test('every cause of a reset that rules and dashboard name is one of ours', async (t) => {
  const text = alerts.map(({ expr }) => expr).join('\n') + JSON.stringify(JSON.parse(dashboard)).replaceAll('\\"', '"');
  const kinds = [...text.matchAll(/kind="([^"]+)"/g)].map(([, kind = '']) => kind);
  t.ok(kinds.length > 2);
  for (const kind of kinds) t.ok(kind in KINDS, kind);
});

t.test('the dashboard takes for guarded what coverage does', async (t) => {
  const lists = [...dashboard.matchAll(/reason(?:=|!)~\\"(guarded[^"\\]*)/g)].map(([, list = '']) => list.split('|'));
  t.equal(lists.length, 2);
  for (const list of lists) t.same(list, REASONS.filter(isGuarded));
});

t.test('each alert has a section in the runbook, and each section an alert', async (t) => {
  const sections = [...(await read('docs/runbook.md')).matchAll(/^## (.+)$/gm)].map(([, title]) => title);
  t.strictSame(sections.sort(), alerts.map(({ alert }) => alert).sort());
  for (const { alert, annotations } of alerts) {
    t.equal(annotations.runbook_url, `${RUNBOOK}#${alert.toLowerCase()}`);
    t.match(annotations.summary, /\.$/);
  }
});

t.test('each alert has a case in which it fires and one in which it does not', async (t) => {
  const tests = loadYaml<{ tests: { alert_rule_test: { alertname: string; exp_alerts?: object[] }[] }[] }>(
    await read('test/manifests/alerts.test.yaml'),
  ).tests.flatMap(({ alert_rule_test: cases }) => cases);
  for (const { alert } of alerts) {
    const own = tests.filter(({ alertname }) => alertname === alert);
    t.ok(
      own.some(({ exp_alerts: expected }) => expected?.length),
      `${alert} fires`,
    );
    t.ok(
      own.some(({ exp_alerts: expected }) => !expected?.length),
      `${alert} does not fire`,
    );
  }
});

t.test('the dashboard has a panel for each question', async (t) => {
  const { panels } = JSON.parse(dashboard) as { panels: { title: string; targets: unknown[] }[] };
  t.ok(panels.every(({ targets }) => targets.length > 0));
  const titles = panels.map(({ title }) => title).join('\n');
  for (const word of ['Guarded share', 'Resets prevented', 'Drift', 'Admissions', 'Certificate', 'Resets by cause'])
    t.match(titles, word);
});
