// Patches as text. Most pods of a cluster get one of a few patches, so each is written once.
import type { InjectionSettings } from './decision.ts';
import { buildPatch, type PatchInputs, patchKey } from './patch.ts';

/** Entries, of about 3 KB each. */
const LIMIT = 200;
/** An annotation may have 256 KB; what is that odd is not worth keeping. */
const KEY_LIMIT = 1000;

/** The JSON Patch in base64. */
export function encodePatch(inputs: PatchInputs, settings: InjectionSettings): string {
  return Buffer.from(JSON.stringify(buildPatch(inputs, settings))).toString('base64');
}

/** As encodePatch for one set of settings, but remembers. When it is full it forgets all: pods choose the inputs. */
export function rememberPatches(settings: InjectionSettings, limit = LIMIT): (inputs: PatchInputs) => string {
  const known = new Map<string, string>();
  return (inputs) => {
    const key = patchKey(inputs);
    const before = known.get(key);
    if (before !== undefined) return before;
    const patch = encodePatch(inputs, settings);
    if (known.size >= limit) known.clear();
    if (key.length <= KEY_LIMIT) known.set(key, patch);
    return patch;
  };
}
