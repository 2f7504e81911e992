// Reads JSON without types. Pods stay as they came: a typed client would drop the fields that it does not know.

export type JsonObject = { [key: string]: unknown };

/** True for a JSON object; false for null, arrays and everything else. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for an array whose every entry is a JSON object. */
export function isObjectList(value: unknown): value is JsonObject[] {
  return Array.isArray(value) && value.every(isObject);
}

/** The object at the end of these keys, or an empty one where there is none. */
export function objectAt(value: unknown, ...keys: string[]): JsonObject {
  const found = valueAt(value, keys);
  return isObject(found) ? found : {};
}

/** The objects of the array at the end of these keys, or none where it is no array of objects. */
export function objectsAt(value: unknown, ...keys: string[]): JsonObject[] {
  const found = valueAt(value, keys);
  return isObjectList(found) ? found : [];
}

function valueAt(value: unknown, keys: string[]): unknown {
  return keys.reduce((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
}

/** True for a JSON object whose every value is a string, as labels and annotations are. */
export function isTextMap(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((entry) => typeof entry === 'string');
}

/** The array's entries that are strings; none where the value is no array. */
export function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

/** A string made short enough for a log line or a message; the empty string where the value is no string. */
export function shortText(value: unknown, limit = 253): string {
  return typeof value === 'string' ? value.slice(0, limit) : '';
}

/** @param time as Kubernetes writes it (RFC 3339) @returns seconds since 1970; 0 where it is no time */
export function secondsOf(time: unknown): number {
  return Math.floor(Date.parse(shortText(time)) / 1000) || 0;
}
