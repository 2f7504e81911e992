// Reads JSON that nobody has typed. Pods stay as they came: a typed client would drop the fields it does not know.

export type JsonObject = { [key: string]: unknown };

/** True for a JSON object; false for null, arrays and everything else. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for an array whose every entry is a JSON object. */
export function isObjectList(value: unknown): value is JsonObject[] {
  return Array.isArray(value) && value.every(isObject);
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
