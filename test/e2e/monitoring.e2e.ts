// A real Prometheus scrapes webhook and checkers, and evaluates the shipped rules.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CHECKER_PORT, OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { AGENT_METRICS } from '../../node-agent/pages/agent-metrics.ts';
import { RESET_METRICS } from '../../node-agent/resets/reset-metrics.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import { barePod, getPods, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { install, MANIFESTS } from '../harness/cluster/webhook-installation.ts';
import { must, Program, run } from '../harness/netns/processes.ts';
import { eventually } from '../harness/wait-until.ts';

const PORT = 9090;
const RULES = `${MANIFESTS}/monitoring/rules.yaml`;
const CASES = fileURLToPath(new URL('../manifests/alerts.test.yaml', import.meta.url));
const skip =
  (await run('promtool', ['--version'])).exitCode === 0 ? false : 'promtool is missing (Debian package prometheus)';

t.before(() => install());

t.test('promtool: each alert fires where it must, and not where it must not', { skip }, async (t) => {
  t.match(await must('promtool', ['test', 'rules', CASES]), 'SUCCESS');
});

interface Target {
  job: string;
  pod: Pod;
  port: number;
}

/**
 * With the labels that the ServiceMonitor and the PodMonitor of the overlay give. Debian's Prometheus cannot ask
 * Kubernetes for targets, so they are named here.
 */
function configuration(targets: Target[]): object {
  const staticOf = ({ job, pod, port }: Target) => ({
    job_name: `${job} ${pod.metadata.name}`,
    honor_labels: job === 'invalid-drop-webhook',
    static_configs: [
      {
        targets: [`${pod.status.podIP}:${port}`],
        labels: { job, namespace: pod.metadata.namespace, pod: pod.metadata.name },
      },
    ],
  });
  return {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [RULES],
    scrape_configs: targets.map(staticOf),
  };
}

async function query<T>(path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${PORT}/api/v1/${path}`);
  return ((await response.json()) as { data: T }).data;
}

t.test(
  'every metric that the rules and the dashboard name is scraped, and the rules see what is there',
  { skip },
  async (t) => {
    const namespace = await plainNamespace(t);
    await apply(barePod(namespace, 'older'));
    await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
    await apply(barePod(namespace, 'guarded'));
    const guarded = await waitReady(namespace, 'guarded');
    const webhooks = await getPods(OWN_NAMESPACE);
    const targets = [
      { job: 'invalid-drop-checker', pod: guarded, port: CHECKER_PORT },
      ...webhooks.map((pod) => ({ job: 'invalid-drop-webhook', pod, port: 8080 })),
    ];

    const folder = await mkdtemp(join(tmpdir(), 'invalid-drop-'));
    await writeFile(join(folder, 'prometheus.json'), JSON.stringify(configuration(targets)));
    const prometheus = new Program('prometheus', [
      `--config.file=${join(folder, 'prometheus.json')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${PORT}`,
    ]);
    t.teardown(async () => {
      await prometheus.stop();
      await rm(folder, { recursive: true });
    });

    const up = await eventually('both kinds are up', async () => {
      const { result } = await query<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        'query?query=up',
      );
      const jobs = result.filter(({ value }) => value[1] === '1').map(({ metric }) => metric['job']);
      return (
        jobs.filter((job) => job === 'invalid-drop-webhook').length === 2 &&
        jobs.includes('invalid-drop-checker') &&
        result
      );
    });
    t.ok(up.some(({ metric }) => metric['namespace'] === OWN_NAMESPACE));

    const named = new Set(
      [
        ...`${await readFile(RULES, 'utf8')}${await readFile(`${MANIFESTS}/monitoring/dashboard.json`, 'utf8')}`.matchAll(
          /invalid_drop_[a-z_]+/g,
        ),
      ].map(([name]) => name.replace(/_bucket$/, '')),
    );
    const metadata = await eventually('the metadata are there', async () => {
      const all = await query<Record<string, unknown>>('metadata');
      return 'invalid_drop_guarded' in all && 'invalid_drop_coverage_pods' in all && all;
    });
    // There are no agents here: tests of node mode scrape theirs.
    for (const { name } of [...AGENT_METRICS, ...RESET_METRICS]) named.delete(name);
    for (const name of named) t.ok(name in metadata, name);

    const alerts = await eventually('the pod that is older than the opt-in is seen by a rule', async () => {
      const { alerts: all } = await query<{ alerts: { labels: Record<string, string>; state: string }[] }>('alerts');
      return (
        all.some(
          ({ labels }) => labels['alertname'] === 'InvalidDropPodsNotGuarded' && labels['namespace'] === namespace,
        ) && all
      );
    });
    const own = alerts.filter(({ labels }) => labels['namespace'] === namespace);
    t.strictSame(
      own.map(({ labels }) => labels['reason']),
      ['created-before-opt-in'],
    );
    t.notOk(alerts.some(({ labels }) => labels['alertname'] === 'InvalidDropWebhookDown'));
  },
);
