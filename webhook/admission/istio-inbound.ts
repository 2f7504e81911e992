// Whether Istio redirects the checker's port into its proxy, where a kubelet probe would meet strict mutual TLS.
// Read in Istio 1.13 to 1.32: the injection template, istio-iptables' flags, istio-cni's reading of annotations.
import { type JsonObject, textsIn } from '../../lib/json.ts';
import { findContainer, type PodView } from '../../lib/pod/pod-view.ts';

export const EXCLUDE_INBOUND_PORTS = 'traffic.sidecar.istio.io/excludeInboundPorts';
const INCLUDE_INBOUND_PORTS = 'traffic.sidecar.istio.io/includeInboundPorts';

/**
 * The value that excludeInboundPorts must get so that the checker's port is exempt from redirection.
 * @param port the checker's
 * @param meshDefault ports that the mesh excludes where the annotation is absent: the annotation replaces them
 * @returns the whole new value, which begins with what was there; undefined where nothing is to be added: the port
 *   is in already, or the annotation does not count in this pod
 */
export function excludeInboundPorts(pod: PodView, port: number, meshDefault: string): string | undefined {
  if (findContainer(pod, 'istio-init') !== undefined) return undefined;
  if (includedPorts(pod) !== '*') return undefined;
  const present = pod.annotations?.[EXCLUDE_INBOUND_PORTS] ?? meshDefault;
  return lists(present, port) ? undefined : appendPort(present, port);
}

/**
 * How the kubelet can ask the checker.
 * @returns exec only where a probe over HTTP would be redirected and Istio will not rewrite it any more: its
 *   webhook has been through, and the port is not exempt
 */
export function probeKind(pod: PodView, port: number): 'http' | 'exec' {
  const istioInit = findContainer(pod, 'istio-init');
  if (istioInit !== undefined) return isExemptIn(istioInit, port) ? 'http' : 'exec';
  const included = includedPorts(pod);
  // With istio-cni the annotations are read when the pod starts, so excludeInboundPorts still counts.
  if (included === '*' || findContainer(pod, 'istio-validation') === undefined) return 'http';
  return lists(included, port) ? 'exec' : 'http';
}

function includedPorts(pod: PodView): string {
  return (pod.annotations?.[INCLUDE_INBOUND_PORTS] ?? '*').trim();
}

/** Arguments that cannot be read count as "redirected": an exec probe works in either case. */
function isExemptIn(istioInit: JsonObject, port: number): boolean {
  const words = [...textsIn(istioInit['command']), ...textsIn(istioInit['args'])];
  const included = flagValue(words, 'b', 'istio-inbound-ports')?.trim();
  if (included === undefined) return false;
  if (included !== '*') return !lists(included, port);
  return lists(flagValue(words, 'd', 'istio-local-exclude-ports') ?? '', port);
}

/** As pflag reads it: `-b X`, `-b=X`, `-bX`, `--long X`, `--long=X`; the last one counts. */
function flagValue(words: string[], short: string, long: string): string | undefined {
  let value: string | undefined;
  words.forEach((word, index) => {
    if (word === `-${short}` || word === `--${long}`) value = words[index + 1];
    else if (word.startsWith(`--${long}=`)) value = word.slice(long.length + 3);
    else if (word.startsWith(`-${short}`)) value = word.slice(2).replace(/^=/, '');
  });
  return value;
}

function lists(ports: string, port: number): boolean {
  const text = String(port);
  return ports.includes(text) && ports.split(',').some((entry) => entry.trim() === text);
}

function appendPort(ports: string, port: number): string {
  if (ports.trim() === '') return String(port);
  return ports.trimEnd().endsWith(',') ? `${ports}${port}` : `${ports},${port}`;
}
