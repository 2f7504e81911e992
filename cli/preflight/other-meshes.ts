// Meshes other than Istio: how each is set up, and what that means for us. Pure.
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { type MeshName, meshOf } from '../../lib/mesh/meshes.ts';
import { isMarked } from '../../lib/mesh/recognise-mesh.ts';
import { type Finding, finding } from './preflight-finding.ts';

export type OtherMesh = Exclude<MeshName, 'istio' | 'istio-ambient'>;
export const OTHER_MESHES: readonly OtherMesh[] = ['linkerd', 'kuma', 'consul', 'osm'];

export interface OtherMeshFacts {
  name: OtherMesh;
  /** NAMESPACE/DEPLOYMENT and version of the image, of each control plane. */
  controlPlanes: { name: string; version: string }[];
  /** Pods with its proxy that were read. */
  pods: number;
  /** Its own rule against INVALID packets in the mesh's configuration; undefined where that does not say. */
  ownRule: boolean | undefined;
  /** Pods whose annotations ask for its own rule, and pods that it does not redirect. */
  ownRulePods: number;
  notRedirectedPods: number;
}

/** What was read of a mesh. `config`: of its rules, where a ConfigMap has it. */
export interface OtherMeshEvidence {
  controlPlanes: JsonObject[];
  pods: JsonObject[];
  config: unknown;
}

const KUMA_OWN_RULE = 'traffic.kuma.io/drop-invalid-packets';
const CONSUL_TRANSPARENT = 'consul.hashicorp.com/transparent-proxy-status';

export function readOtherMesh(name: OtherMesh, { controlPlanes, pods, config }: OtherMeshEvidence): OtherMeshFacts {
  const annotation = (pod: JsonObject, key: string) => objectAt(pod, 'metadata', 'annotations')[key];
  const count = (has: (pod: JsonObject) => boolean) => pods.filter(has).length;
  const own = isObject(config) ? config['dropInvalidPackets'] : undefined;
  return {
    name,
    controlPlanes: controlPlanes.map(readControlPlane),
    pods: pods.length,
    ownRule: name === 'kuma' && typeof own === 'boolean' ? own : undefined,
    ownRulePods:
      name === 'kuma' ? count((pod) => ['true', 'yes'].some((yes) => annotation(pod, KUMA_OWN_RULE) === yes)) : 0,
    notRedirectedPods: name === 'consul' ? count((pod) => annotation(pod, CONSUL_TRANSPARENT) === undefined) : 0,
  };
}

/** Name of a control plane's Deployment, and the version that its image has. */
export function readControlPlane(deployment: JsonObject): { name: string; version: string } {
  const { name, namespace } = objectAt(deployment, 'metadata');
  const [first] = objectsAt(deployment, 'spec', 'template', 'spec', 'containers');
  const image = shortText(first?.['image'], 300).replace(/@sha256:.*$/, '');
  return {
    name: `${shortText(namespace)}/${shortText(name)}`,
    version: /:([^:/]+)$/.exec(image)?.[1] ?? 'not known',
  };
}

/** The mesh that a namespace asks for by its labels or annotations. */
export function otherMeshAsked(labels: JsonObject, annotations: JsonObject): OtherMesh | undefined {
  return OTHER_MESHES.find((name) => isMarked(name, labels, annotations));
}

/** @param rescueNeeded whether a node has a kernel on which a rule alone makes connections hang */
export function otherMeshFindings(facts: OtherMeshFacts, rescueNeeded: boolean): Finding[] {
  return [
    overview(facts),
    ...(facts.ownRule === true || facts.ownRulePods > 0 ? [ownRule(facts, rescueNeeded)] : []),
    ...(facts.notRedirectedPods > 0 ? [notRedirected(facts)] : []),
  ];
}

function overview({ name, controlPlanes, pods }: OtherMeshFacts): Finding {
  const { title, ownRule, tested } = meshOf(name);
  const planes = controlPlanes.map((plane) => `${plane.name} ${plane.version}`);
  const seen = [
    `${title}: ${planes.length > 0 ? planes.slice(0, 4).join(', ') : 'its injector, and no control plane that can be read'}`,
    `${pods} pods with its proxy were read`,
  ];
  const own =
    ownRule === undefined
      ? 'It has no rule against INVALID packets.'
      : 'Its rule against INVALID packets is off by default.';
  return finding(
    name,
    'note',
    seen.join('; '),
    `It redirects connections of its pods with NAT, which is what this bug needs. ${own} invalid-drop was tested with ${tested}.`,
    'See docs/meshes.md for what pods of it get. Look at one with kubectl invalid-drop explain POD.',
  );
}

function ownRule({ ownRule: mesh, ownRulePods }: OtherMeshFacts, rescueNeeded: boolean): Finding {
  const hang = ' On these kernels it can make connections hang, also those that the pods opened.';
  return finding(
    'kuma-drop-invalid-packets',
    rescueNeeded ? 'warning' : 'note',
    `dropInvalidPackets is ${mesh === true ? 'true for the mesh' : 'not set for the mesh'}, and asked for by ${ownRulePods} pods`,
    `The rule of Kuma drops INVALID packets, and nothing verifies it. It stands at the end of its chain, and is left out where iptables-save shows no mangle table.${rescueNeeded ? hang : ''}`,
    'Leave it as it is and add invalid-drop: its exemption and rescue make that rule harmless. Or remove it.',
  );
}

function notRedirected({ notRedirectedPods }: OtherMeshFacts): Finding {
  return finding(
    'consul-not-transparent',
    'note',
    `${notRedirectedPods} pods of Consul without transparent proxy`,
    'Nothing redirects their connections. Such pods are not exposed.',
  );
}
