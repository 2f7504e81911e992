// The parts of the documentation that are made from the program, and where they stand: between
// `<!-- NAME -->` and `<!-- end -->`.
import { readFile } from 'node:fs/promises';
import { COMMON_OPTIONS } from '../../cli/common-options.ts';
import { DASHBOARD_OPTIONS } from '../../cli/dashboard/dashboard-command.ts';
import { GUARD_OPTIONS } from '../../cli/guard/guard-options.ts';
import { GUARD_OUTCOMES } from '../../cli/guard/guard-outcomes.ts';
import { STATUS_OPTIONS } from '../../cli/status/status-command.ts';
import { METRICS } from '../../init-image/checker/checker-metrics.ts';
import { CHECK_OPTIONS, INSTALL_OPTIONS } from '../../init-image/program-options.ts';
import {
  BE_LIBERAL_OPTION,
  CHECKER_PORT,
  CHECKER_PORT_ANNOTATION,
  NODE_MODES,
  OPT_IN_LABEL,
  OPT_IN_VALUES,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import type { Metric } from '../../lib/metric-text.ts';
import { type OptionTable, optionRows } from '../../lib/options.ts';
import { placementOf } from '../../lib/pod/placement.ts';
import { CHECKER_PORT_OPTION } from '../../lib/pod/pod-options.ts';
import { SKIP_REASONS } from '../../lib/pod/reasons.ts';
import { KINDS } from '../../lib/resets/reset-kind.ts';
import { AGENT_OPTIONS } from '../../node-agent/agent-options.ts';
import { AGENT_METRICS } from '../../node-agent/pages/agent-metrics.ts';
import { RESET_METRICS } from '../../node-agent/resets/reset-metrics.ts';
import {
  CHECKER_RESOURCES_ANNOTATION,
  INIT_RESOURCES_ANNOTATION,
  RESOURCES_FORM,
} from '../../webhook/admission/container-resources.ts';
import { createCollectionMetrics } from '../../webhook/collection/start-collection.ts';
import { createCoverageMetrics } from '../../webhook/coverage/coverage-metrics.ts';
import { COVERAGE_REASONS, REASONS, remedyFor } from '../../webhook/coverage/coverage-reasons.ts';
import { coverageReport, coverageTable } from '../../webhook/coverage/coverage-report.ts';
import { createCoverageStore } from '../../webhook/coverage/coverage-store.ts';
import { createMetrics } from '../../webhook/webhook-metrics.ts';
import { OPTIONS } from '../../webhook/webhook-options.ts';
import { CHART_VALUES } from './chart-values.ts';
import { explainExample, nodeExample } from './explain-examples.ts';
import type { GeneratedFile } from './generated-file.ts';
import { meshPorts, meshRules, meshSources } from './mesh-tables.ts';
import { preflightExample } from './preflight-example.ts';

const ROOT = new URL('../../', import.meta.url);
const PAGES = [
  'README.md',
  'docs/configuration.md',
  'docs/cli.md',
  'docs/coverage.md',
  'docs/diagnose.md',
  'docs/meshes.md',
  'docs/metrics.md',
  'docs/preflight.md',
  'docs/running-pods.md',
  'manifests/chart/README.md',
];

function markdownTable(headings: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(headings), `|${headings.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

function options(table: OptionTable): string {
  const rows = optionRows(table).map(({ flag, env, default: value, allowed, help }) => {
    return [`\`${flag}\``, `\`${env}\``, value === '' ? '(empty)' : `\`${value}\``, allowed, help];
  });
  return markdownTable(['flag', 'environment', 'default', 'allowed', 'meaning'], rows);
}

const chartValues = () =>
  markdownTable(
    ['value', 'default', 'meaning'],
    CHART_VALUES.map(({ path, help, default: own, programDefault }) => [
      `\`${path}\``,
      own === undefined ? `(\`${JSON.stringify(programDefault)}\`)` : `\`${JSON.stringify(own)}\``,
      help,
    ]),
  );

function annotations(): string {
  const meaning: Record<string, string> = {
    mode: '`enforce`: a failed install stops the pod, an unguarded pod is not Ready. `observe`: nothing is held back, everything is reported',
    protocol: "what the rule covers; `all` is every protocol, exactly the rule of Istio's `INVALID_DROP` up to 1.23",
    onDrift: 'what the checker or the agent does when the rule or the exemption no longer does its job',
    rescue: 'whether connections that had stray segments are made liberal in conntrack, so that they do not hang',
  };
  const own = Object.entries(POD_OPTIONS).map(([name, { annotation, values }]) => {
    return [`\`${annotation}\``, values.map((value) => `\`${value}\``).join(', '), meaning[name] ?? ''];
  });
  return markdownTable(
    ['annotation', 'values, default first', 'meaning'],
    [
      [
        '`invalid-drop.io/inject`',
        '`enabled`, `disabled`',
        'leaves one pod of a labelled namespace alone; works as a label too',
      ],
      ...own,
      [
        `\`${BE_LIBERAL_OPTION.annotation}\``,
        BE_LIBERAL_OPTION.values.map((value) => `\`${value}\``).join(', '),
        "with node agents only: whether `nf_conntrack_tcp_be_liberal` is set in the pod's network namespace",
      ],
      [
        '`invalid-drop.io/checker`',
        '`enabled`, `disabled`',
        'with containers only; `disabled`: an init container installs the rule, and nothing stays',
      ],
      [
        `\`${CHECKER_PORT_ANNOTATION}\``,
        `\`${CHECKER_PORT}\`; ${CHECKER_PORT_OPTION.allowed}`,
        'with containers only: TCP port of the checker, where a container of the pod has the default',
      ],
      resourcesRow(INIT_RESOURCES_ANNOTATION, OPTIONS['init-resources'].default, 'init container, where there is one'),
      resourcesRow(CHECKER_RESOURCES_ANNOTATION, OPTIONS['checker-resources'].default, 'checker'),
    ],
  );
}

const resourcesRow = (annotation: string, byDefault: string, container: string) => [
  `\`${annotation}\``,
  `\`${byDefault}\`; ${RESOURCES_FORM}`,
  `with containers only: requests and limits of the ${container}, up to the webhook's option \`max-resources\`; what it does not name is the configuration's`,
];

/** What guards a namespace's pods, by the value of its label and the webhook's option. */
const labelValues = () =>
  markdownTable(
    ['label value', ...NODE_MODES.map((nodeMode) => `\`node-mode\` \`${nodeMode}\``)],
    OPT_IN_VALUES.map((value) => [
      `\`${value}\``,
      ...NODE_MODES.map((nodeMode) => GUARDED_BY[placementOf({ [OPT_IN_LABEL]: value }, nodeMode) ?? 'missing']),
    ]),
  );

const GUARDED_BY = { pod: 'containers', node: 'node agents', missing: 'nothing (`no-node-agents`)' };

const skipReasons = () =>
  markdownTable(
    ['reason', 'meaning'],
    Object.entries(SKIP_REASONS).map(([reason, text]) => [`\`${reason}\``, text]),
  );

const metricTable = (metrics: Pick<Metric<never>, 'name' | 'type' | 'labels' | 'help'>[]) =>
  markdownTable(
    ['metric', 'type', 'labels', 'meaning'],
    metrics.map(({ name, type, labels, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]),
  );

async function webhookMetrics(): Promise<string> {
  const { registry } = createMetrics('0');
  createCoverageMetrics(registry, () => undefined);
  createCollectionMetrics(registry, () => undefined);
  const metrics = await registry.getMetricsAsJSON();
  const rows = metrics.map(({ name, type, help }) => [`\`${name}\``, String(type), help]);
  return markdownTable(['metric', 'type', 'meaning'], rows);
}

const coverageReasons = () =>
  markdownTable(
    ['reason', 'guarded', 'meaning', 'what to do'],
    REASONS.map((reason) => {
      const { guarded, text } = COVERAGE_REASONS[reason];
      return [`\`${reason}\``, guarded ? 'yes' : 'no', text, remedyFor(reason) ?? ''];
    }),
  );

/** Made by the program from two namespaces with four pods. */
function coverageExample(): string {
  const store = createCoverageStore(
    () => {},
    () => 0,
  );
  const pods = [
    ['media', 'encoder-0', 'done', 'ready'],
    ['storage', 'store-0', 'done', 'ready'],
    ['storage', 'store-1', 'absent', 'absent'],
    ['storage', 'store-2', 'failed', 'waiting'],
  ] as const;
  for (const [namespace, name, install, checker] of pods) {
    store.cover(namespace, { optedInAt: 0, forbidsNetAdmin: false, placement: 'pod' });
    const own = install === 'absent' ? ('none' as const) : ('current' as const);
    const facts = {
      leftAlone: undefined,
      own,
      install,
      checker,
      unpulled: false,
      observes: false,
      ephemeral: false,
      liberal: false,
      agent: undefined,
    };
    const owner = { apiVersion: 'v1', kind: 'Pod', name, uid: name };
    store.put({
      record: {
        namespace,
        name,
        facts,
        created: 1,
        startedAt: 0,
        checkerIp: '',
        checkerPort: 0,
        agentNode: '',
        agentUid: '',
      },
      owner,
      gone: false,
    });
  }
  return ['```', coverageTable(coverageReport({ store, synced: true, refused: () => [] })).trimEnd(), '```'].join('\n');
}

const guardOutcomes = () =>
  markdownTable(
    ['outcome', 'kind', 'meaning'],
    Object.entries(GUARD_OUTCOMES).map(([outcome, { kind, text }]) => [`\`${outcome}\``, kind, text]),
  );

const resetKinds = () =>
  markdownTable(
    ['kind', 'meaning'],
    Object.entries(KINDS).map(([kind, { text }]) => [`\`${kind}\``, text]),
  );

const PARTS: Record<string, () => string | Promise<string>> = {
  annotations,
  'chart values': chartValues,
  'label values': labelValues,
  'webhook options': () => options(OPTIONS),
  'install options': () => options(INSTALL_OPTIONS),
  'check options': () => options(CHECK_OPTIONS),
  'agent options': () => options(AGENT_OPTIONS),
  'cli options': () => options(COMMON_OPTIONS),
  'status options': () => options(STATUS_OPTIONS),
  'dashboard options': () => options(DASHBOARD_OPTIONS),
  'guard options': () => options(GUARD_OPTIONS),
  'guard outcomes': guardOutcomes,
  'skip reasons': skipReasons,
  'checker metrics': () => metricTable(METRICS),
  'agent metrics': () => metricTable(AGENT_METRICS),
  'reset metrics': () => metricTable(RESET_METRICS),
  'webhook metrics': webhookMetrics,
  'coverage reasons': coverageReasons,
  'coverage table': coverageExample,
  'explain example': explainExample,
  'node example': nodeExample,
  'preflight example': preflightExample,
  'reset kinds': resetKinds,
  'mesh rules': () => markdownTable(...meshRules()),
  'mesh ports': () => markdownTable(...meshPorts()),
  'mesh sources': meshSources,
};

/** Every page with generated parts. */
export async function readPages(): Promise<GeneratedFile[]> {
  return Promise.all(
    PAGES.map(async (page) => {
      const path = new URL(page, ROOT);
      const now = await readFile(path, 'utf8');
      let wanted = now;
      for (const [name, make] of Object.entries(PARTS)) {
        const [start, end] = [`<!-- ${name} -->`, '<!-- end -->'];
        const from = wanted.indexOf(start);
        if (from < 0) continue;
        const to = wanted.indexOf(end, from);
        wanted = `${wanted.slice(0, from)}${start}\n${await make()}\n${wanted.slice(to)}`;
      }
      return { path, now, wanted };
    }),
  );
}

/** Names of all parts, so that a test can see that each stands somewhere. */
export const PART_NAMES = Object.keys(PARTS);
