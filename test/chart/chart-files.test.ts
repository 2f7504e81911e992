// The chart says of options what the programs say, and of objects without values what the manifests say. That its templates
// give the same objects as kustomize is in test/e2e-release/chart-templates.release.ts, which needs helm.
import { readFile } from 'node:fs/promises';
import { loadYaml } from '@kubernetes/client-node';
import t from 'tap';
import type { OptionTable, ValueSchema } from '../../lib/options.ts';
import { AGENT_OPTIONS } from '../../node-agent/agent-options.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { readChartFiles } from '../../tools/docs/chart-files.ts';
import { CHART_VALUES, NO_VALUES_OF_AGENT, NO_VALUES_OF_WEBHOOK, valueName } from '../../tools/docs/chart-values.ts';
import { OPTIONS } from '../../webhook/webhook-options.ts';

const CHART = new URL('../../manifests/chart/', import.meta.url);
const readChart = (name: string) => readFile(new URL(name, CHART), 'utf8');

t.test('generated files are as the program makes them now: npm run docs', async (t) => {
  for (const { path, now, wanted } of await readChartFiles()) t.equal(now, wanted, path.pathname);
});

t.test("the chart's version is the package's", async (t) => {
  const chart = loadYaml<{ version: string; appVersion: string }>(await readChart('Chart.yaml'));
  t.match(chart, { version: packageJson.version, appVersion: packageJson.version });
});

for (const [program, table, left, prefix] of [
  ['webhook', OPTIONS as OptionTable, NO_VALUES_OF_WEBHOOK as Record<string, string>, 'options'],
  ['node agent', AGENT_OPTIONS as OptionTable, NO_VALUES_OF_AGENT as Record<string, string>, 'nodeAgent.options'],
] as const) {
  t.test(`each option of the ${program} is a value with the option's schema, or left out with a reason`, async (t) => {
    for (const [name, option] of Object.entries(table)) {
      const value = CHART_VALUES.find(({ path }) => path === `${prefix}.${valueName(name)}`);
      if (left[name] !== undefined) {
        t.equal(value, undefined, name);
        continue;
      }
      t.strictSame(value?.schema, option.schema, name);
      t.strictSame(value?.programDefault, option.default, name);
    }
    for (const name of Object.keys(left)) t.ok(name in table, `${name} is an option`);
  });
}

t.test('the schema of an option allows its default, and not every text', async (t) => {
  for (const [name, option] of Object.entries({ ...OPTIONS, ...AGENT_OPTIONS } as OptionTable)) {
    t.ok(allows(option.schema, option.default), name);
  }
  t.notOk(allows(OPTIONS['checker-resources'].schema, 'cpu'));
  t.notOk(allows(OPTIONS['max-resources'].schema, 'cpu=1:2'));
  t.notOk(allows(OPTIONS['drain-seconds'].schema, 301));
  t.notOk(allows(OPTIONS['image-pull-secrets'].schema, ['a,b']));
  t.notOk(allows(OPTIONS.mode.schema, 'strict'));
});

function allows(schema: ValueSchema, value: unknown): boolean {
  if ('enum' in schema) return schema.enum.includes(value as string);
  if (schema.type === 'array') return (value as unknown[]).every((item) => allows(schema.items, item));
  if (schema.type === 'string') return new RegExp(schema.pattern).test(value as string);
  return (value as number) >= schema.minimum && (value as number) <= schema.maximum;
}
