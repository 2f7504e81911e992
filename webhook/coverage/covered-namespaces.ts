// Which namespaces are opted in, and since when. Pure.
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { isObject, isObjectList, isTextMap, type JsonObject, shortText } from '../../lib/json.ts';
import { forbidsNetAdmin, isProtectedNamespace } from '../admission/pod-predicates.ts';
import type { CoveredNamespace } from './pod-reason.ts';
import { secondsOf } from './seconds.ts';

export interface SeenNamespace {
  name: string;
  /** undefined: it is not opted in, or is being deleted. */
  covered: CoveredNamespace | undefined;
}

/** What coverage keeps of a Namespace; undefined where it is none. */
export function seenNamespace(object: JsonObject): SeenNamespace | undefined {
  const { metadata } = object;
  if (!isObject(metadata)) return undefined;
  const name = shortText(metadata['name']);
  const labels = isTextMap(metadata['labels']) ? metadata['labels'] : {};
  const optedIn = labels[OPT_IN_LABEL] === 'enabled' && !isProtectedNamespace(name);
  if (!optedIn || metadata['deletionTimestamp'] !== undefined) return { name, covered: undefined };
  return { name, covered: { optedInAt: labelTime(metadata), forbidsNetAdmin: forbidsNetAdmin(labels) } };
}

/**
 * When the label was set, as far as the API server remembers: the time of the field manager that owns it. If the same
 * manager has changed something else since, the time is later than the label; pods in between then count as older than
 * the opt-in, which blames nobody.
 */
function labelTime({ managedFields }: JsonObject): number | undefined {
  if (!isObjectList(managedFields)) return undefined;
  const times = managedFields.filter(({ fieldsV1 }) => ownsLabel(fieldsV1)).map(({ time }) => secondsOf(time));
  const first = Math.min(...times.filter((time) => time > 0));
  return Number.isFinite(first) ? first : undefined;
}

function ownsLabel(fields: unknown): boolean {
  const metadata = isObject(fields) ? fields['f:metadata'] : undefined;
  const labels = isObject(metadata) ? metadata['f:labels'] : undefined;
  return isObject(labels) && `f:${OPT_IN_LABEL}` in labels;
}
