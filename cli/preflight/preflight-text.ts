// The report of preflight for people. What others wrote is escaped by textTable and printable.
import { printable } from '../../lib/printable.ts';
import { textTable } from '../../lib/text-table.ts';
import type { Finding, FindingLevel } from './preflight-finding.ts';
import type { PreflightReport } from './preflight-verdict.ts';
import type { NodeFacts } from './read-nodes.ts';

const MARKS: Record<FindingLevel, string> = { warning: '[!]', unknown: '[?]', note: '[i]', good: '[ ]' };
const IN_ORDER: FindingLevel[] = ['warning', 'unknown', 'note', 'good'];
/** Characters of a line; longer ones are broken at spaces. */
const WIDTH = 116;

/** @param wide with the nodes */
export function preflightText(
  { summary, findings, namespaces, nodes, notSeen }: PreflightReport,
  wide: boolean,
): string {
  const sorted = IN_ORDER.flatMap((level) => findings.filter((one) => one.level === level));
  const parts = [
    summary.map(printable).join('\n'),
    ...sorted.map(findingText),
    ...(namespaces.length === 0 ? [] : [namespaceTable(namespaces)]),
    ...(wide && nodes.length > 0 ? [nodeTable(nodes)] : []),
    `Not visible:\n${notSeen.map((one) => wrapped('  - ', one)).join('\n')}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

function findingText({ code, level, seen, means, do: toDo }: Finding): string {
  const lines = [
    `${MARKS[level]} ${code}`,
    wrapped('    seen   ', seen),
    wrapped('    means  ', means),
    ...(toDo === '' ? [] : [wrapped('    do     ', toDo)]),
  ];
  return lines.join('\n');
}

/** The text after a head, with the further lines below its beginning. */
function wrapped(head: string, text: string): string {
  const lines = [''];
  for (const word of printable(text).split(' ')) {
    const last = lines.at(-1) ?? '';
    const longer = last === '' ? word : `${last} ${word}`;
    if (last !== '' && head.length + longer.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines.map((line, index) => `${index === 0 ? head : ' '.repeat(head.length)}${line}`).join('\n');
}

function namespaceTable(namespaces: PreflightReport['namespaces']): string {
  const rows = namespaces.map(({ name, mesh, pods, guardBy, why }) => [name, mesh, String(pods), guardBy, why]);
  return textTable([['NAMESPACE', 'MESH', 'PODS', 'GUARD BY', 'WHY'], ...rows], [2]).trimEnd();
}

/** Nodes with the same of everything share a row. */
function nodeTable(nodes: NodeFacts[]): string {
  const counts = new Map<string, number>();
  for (const { os, arch, kernel, kubelet, runtime, serverless } of nodes) {
    const key = JSON.stringify([serverless ?? os, arch, kernel, kubelet, runtime]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const rows = [...counts].map(([key, count]) => [String(count), ...(JSON.parse(key) as string[])]);
  return textTable([['NODES', 'OS', 'ARCH', 'KERNEL', 'KUBELET', 'RUNTIME'], ...rows], [0]).trimEnd();
}
