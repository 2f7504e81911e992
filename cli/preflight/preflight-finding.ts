// One finding of preflight, and how findings name nodes.
import type { NodeFacts } from './read-nodes.ts';

/**
 * good: nothing to do. note: worth knowing. warning: pods are exposed, or something will not work. unknown: what decides could
 * not be seen.
 */
export type FindingLevel = 'good' | 'note' | 'warning' | 'unknown';

export interface Finding {
  /** Stays the same from release to release. */
  code: string;
  level: FindingLevel;
  /** The evidence. */
  seen: string;
  means: string;
  /** Empty where there is nothing to do. */
  do: string;
}

export function finding(code: string, level: FindingLevel, seen: string, means: string, toDo = ''): Finding {
  return { code, level, seen, means, do: toDo };
}

/** "2 nodes (a, b)", with three names at most. */
export function nodesInWords(nodes: Pick<NodeFacts, 'name'>[]): string {
  const names = nodes.slice(0, 3).map(({ name }) => name);
  const more = nodes.length > names.length ? ', ...' : '';
  return `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} (${names.join(', ')}${more})`;
}
