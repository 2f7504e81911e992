import jsonPatch from 'fast-json-patch';
import type { JsonObject } from '../../../lib/json.ts';
import type { PatchOperation } from '../../../webhook/admission/patch.ts';

export interface PatchedPod extends JsonObject {
  metadata: JsonObject & { annotations?: Record<string, string> };
  spec: JsonObject & { containers: JsonObject[]; initContainers?: JsonObject[] };
}

/** A copy of the pod with the patch applied by another implementation of RFC 6902, which refuses what does not fit. */
export function applyPatch(pod: unknown, operations: PatchOperation[]): PatchedPod {
  const copy = JSON.parse(JSON.stringify(pod));
  return jsonPatch.applyPatch(copy, structuredClone(operations), true).newDocument;
}

export function byName(containers: JsonObject[] | undefined, name: string): JsonObject | undefined {
  return containers?.find((container) => container['name'] === name);
}

export function names(containers: JsonObject[] | undefined): unknown[] {
  return (containers ?? []).map((container) => container['name']);
}
