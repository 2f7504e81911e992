// What Istio's injector does to a pod, as far as it concerns ours (read in Istio 1.31, init mode).
import type { PatchedPod } from './patched-pod.ts';

const EXCLUDE = 'traffic.sidecar.istio.io/excludeInboundPorts';
const INCLUDE = 'traffic.sidecar.istio.io/includeInboundPorts';

/** A copy of the pod with istio-init, istio-proxy and rewritten HTTP probes. */
export function injectIstio(pod: PatchedPod, nativeSidecar: boolean): PatchedPod {
  const copy = structuredClone(pod);
  const { annotations } = copy.metadata;
  const exclude = ['15090,15021', annotations?.[EXCLUDE], '15020'].filter(Boolean).join(',');
  const args = ['istio-iptables', '-b', annotations?.[INCLUDE] ?? '*', '-d', exclude];
  const init = copy.spec.initContainers ?? [];
  for (const container of [...init, ...copy.spec.containers]) {
    const probe = container['readinessProbe'] as { httpGet?: object } | undefined;
    if (probe?.httpGet) probe.httpGet = { path: `/app-health/${container['name']}/readyz`, port: 15020 };
  }
  const istioInit = { name: 'istio-init', args };
  const proxy = { name: 'istio-proxy', args: ['proxy', 'sidecar'] };
  copy.spec.initContainers = nativeSidecar
    ? [istioInit, { ...proxy, restartPolicy: 'Always' }, ...init]
    : [...init, istioInit];
  if (!nativeSidecar) copy.spec.containers.push(proxy);
  copy.metadata.annotations = { ...annotations, 'sidecar.istio.io/status': '{}' };
  return copy;
}
