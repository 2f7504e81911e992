// What is asked of a node agent (GET /figures), and what is taken from its answer. Pure.
import { isObject, objectsAt, shortText } from '../../lib/json.ts';
import { type CheckerFigures, figuresIn, parsed } from './checker-figures.ts';

/** Pods of one question: more than a node usually has. Their uids fit into the 16 KiB that an agent reads of it. */
export const PODS_A_QUESTION = 250;
/** Bytes. A pod has 200, and 120 more for each of its five peers. */
export const AGENT_ANSWER_LIMIT = 256 * 1024;

/** @param uids of pods that the agent guards, PODS_A_QUESTION at most */
export function figuresPath(uids: Iterable<string>): string {
  return `/figures?pods=${[...uids].map(encodeURIComponent).join(',')}`;
}

/**
 * @param asked by uid; figures of other pods are left out
 * @returns undefined where the text is no answer of an agent
 */
export function agentFigures<Pod>(text: string, asked: Map<string, Pod>): Map<Pod, CheckerFigures> | undefined {
  const answer = parsed(text);
  if (!isObject(answer) || !Array.isArray(answer['pods'])) return undefined;
  const figures = new Map<Pod, CheckerFigures>();
  for (const one of objectsAt(answer, 'pods').slice(0, PODS_A_QUESTION)) {
    const pod = asked.get(shortText(one['uid'], 36));
    const found = pod === undefined ? undefined : figuresIn(one);
    if (pod === undefined || found === undefined) continue;
    const since = Date.parse(shortText(one['since'], 40));
    figures.set(pod, Number.isNaN(since) ? found : { ...found, since });
  }
  return figures;
}
