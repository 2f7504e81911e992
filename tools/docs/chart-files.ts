// The files of the Helm chart that are made from others: values and their schema from the table, and what has no values from
// the manifests.
import { readFile } from 'node:fs/promises';
import { dumpYaml } from '@kubernetes/client-node';
import { CHART_GROUPS, CHART_VALUES, type ChartValue } from './chart-values.ts';
import type { GeneratedFile } from './generated-file.ts';

const MANIFESTS = new URL('../../manifests/', import.meta.url);
const CHART = new URL('chart/', MANIFESTS);
const MADE = 'Made by `npm run docs`';

/** Objects without a value in them: the template, its source, and the value that switches it on. */
const COPIED_TEMPLATES: [template: string, source: string, when?: string][] = [
  ['webhook-service-account.yaml', 'base/service-account.yaml'],
  ['webhook-service.yaml', 'base/service.yaml'],
  ['webhook-pod-disruption-budget.yaml', 'base/pod-disruption-budget.yaml'],
  ['node-agent-service-account.yaml', 'node-agent/service-account.yaml', 'nodeAgent.enabled'],
  ['node-agent-rbac.yaml', 'node-agent/rbac.yaml', 'nodeAgent.enabled'],
  ['node-agent-status-policy.yaml', 'node-agent/status-policy.yaml', 'nodeAgent.enabled'],
  ['node-agent-resource-quota.yaml', 'node-agent/resource-quota.yaml', 'nodeAgent.enabled'],
];

/** Files that templates include as they are. */
const COPIED_FILES = ['rules.yaml', 'dashboard.json'];

/** Each file of the chart that is made: its path, its text now, and as it should be. */
export async function readChartFiles(): Promise<GeneratedFile[]> {
  const wanted: [string, string | Promise<string>][] = [
    ['values.yaml', valuesYaml(CHART_VALUES)],
    ['values.schema.json', `${JSON.stringify(valuesSchema(CHART_VALUES), undefined, 2)}\n`],
    ...COPIED_TEMPLATES.map(([name, source, when]): [string, Promise<string>] => [
      `templates/${name}`,
      copiedTemplate(source, when),
    ]),
    ...COPIED_FILES.map((name): [string, Promise<string>] => [`files/${name}`, readSource(`monitoring/${name}`)]),
  ];
  return Promise.all(
    wanted.map(async ([name, text]) => {
      const path = new URL(name, CHART);
      return { path, now: await readFile(path, 'utf8').catch(() => ''), wanted: await text };
    }),
  );
}

const readSource = (name: string) => readFile(new URL(name, MANIFESTS), 'utf8');

async function copiedTemplate(source: string, when: string | undefined): Promise<string> {
  const text = await readSource(source);
  if (text.includes('{{')) throw new TypeError(`manifests/${source} would be read as a template`);
  const copy = `{{- /* ${MADE} from manifests/${source}. */}}\n${text}`;
  return when === undefined ? copy : `{{- if .Values.${when} }}\n${copy}{{- end }}\n`;
}

/** Where a value stands in the tree of keys. */
type Tree = Map<string, Tree | ChartValue>;

function treeOf(values: ChartValue[]): Tree {
  const root: Tree = new Map();
  for (const value of values) {
    const keys = value.path.split('.');
    const last = keys.pop() ?? '';
    let tree = root;
    for (const key of keys) {
      const inner = tree.get(key) ?? new Map();
      tree.set(key, inner);
      tree = inner as Tree;
    }
    tree.set(last, value);
  }
  return root;
}

/** The schema of all values. Keys that are not there are refused, so that a misspelt one is not silently nothing. */
export function valuesSchema(values: ChartValue[]): object {
  return { $schema: 'https://json-schema.org/draft-07/schema#', ...schemaOf(treeOf(values)) };
}

/** @param open whether other keys are allowed: a chart of which this is a part has globals of its own */
function schemaOf(tree: Tree, open = false): object {
  const properties = [...tree].map(([key, inner]) => {
    if (inner instanceof Map) return [key, schemaOf(inner, key === 'global')];
    const { help, schema, default: own, programDefault } = inner;
    return [key, { description: help, ...schema, default: own === undefined ? programDefault : own }];
  });
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: open };
}

const HEAD = `# Values of the chart. ${MADE} from tools/docs/chart-values.ts; values.schema.json says what each may be.
# A line such as \`# mode: enforce\` shows what the program takes where the value is not set.
`;

function valuesYaml(values: ChartValue[]): string {
  return HEAD + yamlOf(treeOf(values), '', '');
}

function yamlOf(tree: Tree, indent: string, path: string): string {
  return [...tree]
    .map(([key, inner]) => {
      if (!(inner instanceof Map)) return `${comment(inner.help, indent)}${valueLines(key, inner, indent)}`;
      const own = path === '' ? key : `${path}.${key}`;
      const content = yamlOf(inner, `${indent}  `, own);
      // A group of comments alone would be null.
      const empty = [...inner.values()].every((value) => !(value instanceof Map) && value.default === undefined);
      const blank = path === '' ? '\n' : '';
      return `${blank}${comment(CHART_GROUPS[own] ?? '', indent)}${indent}${key}:${empty ? ' {}' : ''}\n${content}`;
    })
    .join('');
}

const WIDTH = 128;

function comment(text: string, indent: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ').filter((part) => part !== '')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > WIDTH) lines.push(`${indent}# ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((line) => `${line}\n`).join('');
}

function valueLines(key: string, { default: own, programDefault }: ChartValue, indent: string): string {
  const shown = own === undefined ? programDefault : own;
  const lines = dumpYaml({ [key]: shown }, { lineWidth: -1 })
    .trimEnd()
    .split('\n');
  return lines.map((line) => `${indent}${own === undefined ? '# ' : ''}${line}\n`).join('');
}
