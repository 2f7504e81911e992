// What the kubelet says of one ephemeral container. Pure.
import { isObject, isObjectList, type JsonObject, shortText } from '../../lib/json.ts';

export type Progress =
  /** `why`: what it waits for, as far as the kubelet tells. */
  { state: 'waiting'; why: string } | { state: 'running' } | { state: 'ended'; exitCode: number; message: string };

/** @param object a Pod as the API server sent it */
export function progressOf(object: JsonObject, container: string): Progress {
  const status = isObject(object['status']) ? object['status'] : {};
  const list = isObjectList(status['ephemeralContainerStatuses']) ? status['ephemeralContainerStatuses'] : [];
  const state = list.find(({ name }) => name === container)?.['state'];
  if (!isObject(state)) return { state: 'waiting', why: 'the kubelet has not taken notice of it' };
  const { running, terminated, waiting } = state;
  if (isObject(terminated)) {
    const exitCode = Number(terminated['exitCode']);
    const message = lastWords(shortText(terminated['message'], 4096)) || shortText(terminated['reason'], 60);
    return { state: 'ended', exitCode, message: message || `exit code ${exitCode}` };
  }
  if (isObject(running)) return { state: 'running' };
  const { reason, message } = isObject(waiting) ? waiting : {};
  const parts = [shortText(reason, 60), shortText(message, 300)].filter((part) => part !== '');
  return { state: 'waiting', why: parts.join(': ') || 'it has not started' };
}

/**
 * What a program of ours said last, from the end of its log: the kubelet takes that for the termination message
 * (FallbackToLogsOnError), and may have cut its first line.
 * @returns the messages of its errors; the text itself where it has none
 */
function lastWords(text: string): string {
  const messages = text.split('\n').flatMap((line) => {
    const entry = parseLine(line);
    return entry['level'] === 'error' ? [shortText(entry['message'], 600)] : [];
  });
  // Node's own words for a program that cannot run stand before a long stack.
  const ownWords = /^\w*Error\b.*$/m.exec(text)?.[0] ?? text.trim().slice(-300);
  return [...new Set(messages)].join('; ') || ownWords.replaceAll(/\s+/g, ' ');
}

function parseLine(line: string): JsonObject {
  try {
    const entry: unknown = JSON.parse(line);
    return isObject(entry) ? entry : {};
  } catch {
    return {};
  }
}
