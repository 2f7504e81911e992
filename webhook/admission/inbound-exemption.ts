// How the checker's port stays out of a mesh's proxy, where a kubelet probe would meet strict mutual TLS: by the mesh's own
// annotation, where that still counts, and else by a probe that does not come over the network. Pure.
import { MESHES, type MeshName, meshOf } from '../../lib/mesh/meshes.ts';
import { type MeshOfPod, type NamespaceMetadata, recogniseMesh } from '../../lib/mesh/recognise-mesh.ts';
import { findContainer, type PodView } from '../../lib/pod/pod-view.ts';
import { isExemptByNow, listsPort } from './injected-ports.ts';

export const EXCLUDE_INBOUND_PORTS = MESHES.istio.exemptPorts;
const INCLUDE_INBOUND_PORTS = 'traffic.sidecar.istio.io/includeInboundPorts';
/** Kuma's whole configuration, fixed at injection, where it has it from a ConfigMap. */
const KUMA_CONFIG = 'traffic.kuma.io/transparent-proxy-config';

/** An annotation of a mesh, with its whole new value, which begins with what was there. */
export interface PortAnnotation {
  name: string;
  value: string;
}

export interface InboundPlan {
  /** null where nothing is to be added: the port is in already, or the annotation does not count in this pod. */
  annotation: PortAnnotation | null;
  /**
   * How the kubelet asks the checker. exec only where a probe over HTTP would be redirected, or would do harm where the mesh
   * rewrites it.
   */
  probe: 'http' | 'exec';
}

/**
 * A pod that nothing tells of a mesh is prepared for Istio, whose annotation means nothing to others.
 * @param namespace of the pod; undefined where it is not known
 * @param port the checker's
 * @param configuredDefault the mesh's own list of ports, from our configuration; '' where it is as the mesh's chart has it
 * @param beside whether the checker stands beside the application, not among the init containers
 */
export function planInbound(
  pod: PodView,
  namespace: NamespaceMetadata | undefined,
  port: number,
  configuredDefault: string,
  beside: boolean,
): InboundPlan {
  const mesh = recogniseMesh(pod, namespace);
  if (mesh === undefined || mesh.name === 'istio' || mesh.name === 'istio-ambient')
    return planForIstio(pod, port, configuredDefault);
  if (isFixed(mesh, pod)) return { annotation: null, probe: isExemptByNow(mesh.name, pod, port) ? 'http' : 'exec' };
  const present = portsUntilNow(mesh.name, pod, namespace, configuredDefault);
  // Without the ports that the annotation would replace, it would put them into the proxy.
  if (present === undefined) return { annotation: null, probe: 'exec' };
  const name = meshOf(mesh.name).exemptPorts ?? '';
  const annotation = listsPort(present, port) ? null : { name, value: appendPort(present, port) };
  return { annotation, probe: isRewrittenForAll(mesh, beside) ? 'exec' : 'http' };
}

/** Whether annotations no longer count. */
function isFixed({ name, stage }: MeshOfPod, pod: PodView): boolean {
  if (stage === 'waiting') return name === 'kuma' && pod.annotations?.[KUMA_CONFIG] !== undefined;
  return stage === 'injected';
}

/** Open Service Mesh sends the readiness probes of all containers to the port of the last one: ours must not be that. */
function isRewrittenForAll({ name, stage }: MeshOfPod, beside: boolean): boolean {
  return name === 'osm' && stage === 'expected' && beside;
}

/** The ports that count until now; undefined where they are not known. */
function portsUntilNow(
  mesh: MeshName,
  { annotations }: PodView,
  namespace: NamespaceMetadata | undefined,
  configuredDefault: string,
): string | undefined {
  const { exemption, exemptPorts } = meshOf(mesh);
  if (exemption === undefined || exemptPorts === undefined) return undefined;
  const own = annotations?.[exemptPorts];
  if (own !== undefined) return own;
  if (exemption.onNamespace && namespace?.annotations === undefined) return undefined;
  const inherited = exemption.onNamespace ? namespace?.annotations?.[exemptPorts] : undefined;
  if (inherited !== undefined) return inherited;
  if (exemption.meshList === 'kept') return '';
  return configuredDefault === '' ? exemption.meshDefault : configuredDefault;
}

// Istio: its list of included ports, too. Read in Istio 1.13 to 1.32.

function planForIstio(pod: PodView, port: number, meshDefault: string): InboundPlan {
  const included = (pod.annotations?.[INCLUDE_INBOUND_PORTS] ?? '*').trim();
  if (findContainer(pod, 'istio-init') !== undefined)
    return { annotation: null, probe: isExemptByNow('istio', pod, port) ? 'http' : 'exec' };
  if (included === '*') {
    const present = pod.annotations?.[EXCLUDE_INBOUND_PORTS] ?? meshDefault;
    const value = appendPort(present, port);
    return { annotation: listsPort(present, port) ? null : { name: EXCLUDE_INBOUND_PORTS, value }, probe: 'http' };
  }
  // With istio-cni the annotations are read when the pod starts, so excludeInboundPorts still counts. Before its webhook, Istio
  // rewrites the probe.
  const redirected = findContainer(pod, 'istio-validation') !== undefined && listsPort(included, port);
  return { annotation: null, probe: redirected ? 'exec' : 'http' };
}

function appendPort(ports: string, port: number): string {
  if (ports.trim() === '') return String(port);
  return ports.trimEnd().endsWith(',') ? `${ports}${port}` : `${ports},${port}`;
}
