// Loaded only where there is a cluster: the reader comes with the client library, which is large.
import { loadYaml } from '@kubernetes/client-node';

/** @returns undefined where the text is no YAML, or there is none */
export function parseYaml(text: string): unknown {
  try {
    return loadYaml(text);
  } catch {
    return undefined;
  }
}
