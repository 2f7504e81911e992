// What the mesh means for us. Pure.
import { MESHES } from '../../lib/mesh/meshes.ts';
import { otherMeshFindings } from './other-meshes.ts';
import { type Finding, finding } from './preflight-finding.ts';
import type { IstioFacts, MeshFacts } from './read-mesh.ts';

/** @param rescueNeeded whether a node has a kernel on which the rule alone makes connections hang */
export function meshFindings({ istio, others, policyEngines, installed }: MeshFacts, rescueNeeded: boolean): Finding[] {
  return [
    ...(istio === undefined ? [] : istioFindings(istio, rescueNeeded)),
    ...others.flatMap((one) => otherMeshFindings(one, rescueNeeded)),
    ...(policyEngines.length === 0 ? [] : [policies(policyEngines)]),
    ...(installed ? [alreadyInstalled()] : []),
  ];
}

function istioFindings(istio: IstioFacts, rescueNeeded: boolean): Finding[] {
  return [
    overview(istio),
    ...(istio.invalidDrop === true || istio.invalidDropPods > 0 ? [ownDrop(istio, rescueNeeded)] : []),
    ...(istio.ambient ? [ambient()] : []),
    ...(istio.tproxy || istio.tproxyPods > 0 ? [tproxy(istio)] : []),
    ...(istio.liberalPods > 0 ? [liberalPods(istio)] : []),
  ];
}

function overview({ controlPlanes, cni, ambient, pods, nativePods, invalidDrop }: IstioFacts): Finding {
  const planes = controlPlanes.map(({ name, version, revision }) => `${name} ${version} (revision ${revision})`);
  const seen = [
    planes.length > 0
      ? `Istio: ${planes.slice(0, 4).join(', ')}`
      : 'Istio, with no istiod in this cluster that can be read',
    `${pods} pods with a sidecar were read, ${nativePods} of them with a native one`,
    cni ? 'istio-cni' : 'no istio-cni',
    ambient ? 'ambient mode' : 'no ambient mode',
    `INVALID_DROP ${invalidDrop === undefined ? 'not set' : invalidDrop} for the mesh`,
  ];
  return finding(
    'istio',
    'good',
    seen.join('; '),
    'Sidecars redirect connections of their pods, which is what this bug needs.',
  );
}

function ownDrop({ invalidDrop, invalidDropPods }: IstioFacts, rescueNeeded: boolean): Finding {
  const seen = `INVALID_DROP is ${invalidDrop === true ? 'true for the mesh' : 'not set for the mesh'}, and true in ${invalidDropPods} pods`;
  const means =
    'The rule of Istio drops INVALID packets, and nothing verifies it. IPv6 gets it only where the first address of the pod is IPv6, or dual stack is declared.';
  const hang = ' On these kernels it can make connections hang, also those that the pods opened.';
  return finding(
    'istio-invalid-drop',
    rescueNeeded ? 'warning' : 'note',
    seen,
    `${means}${rescueNeeded ? hang : ''}`,
    'Leave it as it is and add invalid-drop: its exemption and rescue make that rule harmless. Or remove it.',
  );
}

function ambient(): Finding {
  return finding(
    'istio-ambient',
    'note',
    'ztunnel runs',
    `Ambient mode redirects plaintext connections inside the pods too, and INVALID_DROP of Istio does not exist there. Connections of the mesh itself (HBONE, port 15008) are not redirected. invalid-drop was tested with ${MESHES['istio-ambient'].tested}.`,
    'See docs/meshes.md.',
  );
}

function tproxy({ tproxy: mesh, tproxyPods }: IstioFacts): Finding {
  return finding(
    'istio-tproxy',
    'note',
    mesh ? 'interceptionMode TPROXY for the mesh' : `interceptionMode TPROXY in ${tproxyPods} pods`,
    'TPROXY uses no NAT, so a stray segment finds its own connection. Such pods are not exposed.',
  );
}

function liberalPods({ liberalPods: pods }: IstioFacts): Finding {
  return finding(
    'pods-liberal',
    'note',
    `${pods} pods set the sysctl net.netfilter.nf_conntrack_tcp_be_liberal to 1`,
    'Segments out of the window are valid there. Those with a bad checksum, impossible flags or no connection are still INVALID.',
  );
}

function policies(names: string[]): Finding {
  return finding(
    'policy-engine',
    'note',
    `webhooks of ${names.join(', ')}`,
    'Its policies may refuse or change our container. The dry runs below went through it.',
    'Where a namespace is refused, except the container invalid-drop-checker with NET_ADMIN from that policy.',
  );
}

function alreadyInstalled(): Finding {
  return finding(
    'already-installed',
    'note',
    'webhook configuration invalid-drop-injector',
    'invalid-drop is installed.',
    'kubectl invalid-drop status says whether it works.',
  );
}
