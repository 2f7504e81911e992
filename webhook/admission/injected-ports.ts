// Whether a mesh's injector, which has been through, keeps a port out of the mesh's proxy: read in what it has put into the
// pod. What cannot be read counts as redirected: an exec probe works in either case. Pure.
import { isObject, type JsonObject, objectsAt, textsIn } from '../../lib/json.ts';
import type { MeshName } from '../../lib/mesh/meshes.ts';
import { findContainer, type PodView } from '../../lib/pod/pod-view.ts';

/** Whether rules that are fixed in the pod leave the port alone. */
export function isExemptByNow(mesh: MeshName, pod: PodView, port: number): boolean {
  return READERS[mesh]?.(pod, port) ?? false;
}

const READERS: Partial<Record<MeshName, (pod: PodView, port: number) => boolean>> = {
  istio: (pod, port) => {
    const words = wordsOf(findContainer(pod, 'istio-init'));
    const included = flagValues(words, 'istio-inbound-ports', 'b').at(-1)?.trim();
    if (included === undefined) return false;
    if (included !== '*') return !listsPort(included, port);
    return listsPort(flagValues(words, 'istio-local-exclude-ports', 'd').at(-1) ?? '', port);
  },
  linkerd: (pod, port) => {
    // pflag's StringSlice: each use of the flag adds to the list.
    const ignored = flagValues(wordsOf(findContainer(pod, 'linkerd-init')), 'inbound-ports-to-ignore');
    return ignored.some((list) => listsPort(list, port));
  },
  kuma: (pod, port) => {
    const words = wordsOf(findContainer(pod, 'kuma-init'));
    if (flagValues(words, 'redirect-inbound').at(-1) === 'false') return true;
    return listsPort(flagValues(words, 'exclude-inbound-ports').at(-1) ?? '', port);
  },
  consul: (pod, port) => {
    const init = findContainer(pod, 'consul-connect-inject-init');
    const variable = objectsAt(init, 'env').find(({ name }) => name === 'CONSUL_REDIRECT_TRAFFIC_CONFIG');
    const config = variable?.['value'] ?? pod.annotations?.['consul.hashicorp.com/redirect-traffic-config'];
    // Without either, its transparent proxy is off for this pod, and nothing is redirected.
    if (config === undefined) return init !== undefined;
    return textsIn(parsed(config)['ExcludeInboundPorts']).some((one) => listsPort(one, port));
  },
  osm: (pod, port) => {
    const script = wordsOf(findContainer(pod, 'osm-init')).join('\n');
    return [...script.matchAll(EXCLUDED_BY_OSM)].some(([, ports = '']) => listsPort(ports, port));
  },
};

const EXCLUDED_BY_OSM = /^-I OSM_PROXY_INBOUND -p tcp --match multiport --dports ([0-9,]+) -j RETURN$/gm;

/** Whether a list of ports, or of ranges such as 4567-4570, with commas between has a port. */
export function listsPort(ports: string, port: number): boolean {
  // An annotation may have 256 KB: most lists need not be cut.
  if (!ports.includes(String(port)) && !ports.includes('-')) return false;
  return ports.split(',').some((entry) => {
    const [from = '', to = from] = entry.trim().split('-');
    return isNumber(from) && isNumber(to) && Number(from) <= port && port <= Number(to);
  });
}

const isNumber = (text: string) => /^\d{1,5}$/.test(text);

function wordsOf(container: JsonObject | undefined): string[] {
  return [...textsIn(container?.['command']), ...textsIn(container?.['args'])];
}

/** As pflag reads it: `--long X`, `--long=X`, and with a short form `-b X`, `-b=X`, `-bX`. All values, in order. */
function flagValues(words: string[], long: string, short?: string): string[] {
  return words.flatMap((word, index) => {
    if (word === `--${long}` || (short !== undefined && word === `-${short}`)) return words[index + 1] ?? [];
    if (word.startsWith(`--${long}=`)) return word.slice(long.length + 3);
    if (short !== undefined && word.startsWith(`-${short}`)) return word.slice(2).replace(/^=/, '');
    return [];
  });
}

function parsed(text: unknown): JsonObject {
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined;
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
