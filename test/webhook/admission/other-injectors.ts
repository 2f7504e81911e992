// What the injectors of Linkerd, Kuma, Consul and Open Service Mesh do to a pod, as far as it concerns ours: rebuilt from the files
// that lib/mesh/meshes.ts names, in the versions that it names, as these programs are not to be had here. Init mode, with defaults.
import type { JsonObject } from '../../../lib/json.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';
import type { PatchedPod } from './patched-pod.ts';

/** @returns a copy of the pod as the injector leaves it; `annotations` are those of its namespace */
type Injector = (pod: PatchedPod, annotations?: Record<string, string>) => PatchedPod;

export type OtherInjector = 'linkerd' | 'kuma' | 'consul' | 'osm';
export const INJECTOR_NAMES: readonly OtherInjector[] = ['linkerd', 'kuma', 'consul', 'osm'];

export const OTHER_INJECTORS: Record<OtherInjector, Injector> = {
  linkerd: (pod, annotations = {}) => {
    const copy = structuredClone(pod);
    const ports = exemptPorts(copy, 'linkerd') ?? annotations[MESHES.linkerd.exemptPorts] ?? '4567,4568';
    const args = [
      '--incoming-proxy-port',
      '4143',
      '--proxy-uid',
      '2102',
      '--inbound-ports-to-ignore',
      `4190,4191,${ports}`,
    ];
    const init = { name: 'linkerd-init', args };
    copy.spec.initContainers = [init, sidecar('linkerd-proxy'), ...(copy.spec.initContainers ?? [])];
    return annotated(copy, { [MESHES.linkerd.exemptPorts]: ports, 'linkerd.io/proxy-version': 'stable' });
  },
  kuma: (pod) => {
    const copy = structuredClone(pod);
    const own = exemptPorts(copy, 'kuma');
    const ports = own === undefined ? '9001' : `${own},9001`;
    const init = { name: 'kuma-init', args: ['--kuma-dp-user=5678', `--exclude-inbound-ports=${ports}`, '--verbose'] };
    for (const { httpGet, timeoutSeconds } of httpProbes([
      ...(copy.spec.initContainers ?? []),
      ...copy.spec.containers,
    ])) {
      Object.assign(httpGet, { path: `/${httpGet['port']}${httpGet['path']}`, port: 9001 });
      delete httpGet['scheme'];
      if (timeoutSeconds > 1) httpGet['httpHeaders'] = [{ name: 'X-Kuma-Probes-Timeout', value: `${timeoutSeconds}` }];
    }
    copy.spec.initContainers = [init, sidecar('kuma-sidecar'), ...(copy.spec.initContainers ?? [])];
    return annotated(copy, { 'kuma.io/sidecar-injected': 'true' });
  },
  consul: (pod) => {
    const copy = structuredClone(pod);
    const probes = httpProbes(copy.spec.containers);
    const overwritten = probes.map((_, index) => `${20_400 + index}`);
    for (const [index, { httpGet }] of probes.entries()) httpGet['port'] = 20_400 + index;
    const ports = [...overwritten, ...(exemptPorts(copy, 'consul')?.split(',') ?? [])];
    const config = { ProxyUserID: '5995', ProxyInboundPort: 20_000, ExcludeInboundPorts: ports, ExcludeUIDs: ['5996'] };
    const env = [{ name: 'CONSUL_REDIRECT_TRAFFIC_CONFIG', value: JSON.stringify(config) }];
    copy.spec.initContainers = [...(copy.spec.initContainers ?? []), { name: 'consul-connect-inject-init', env }];
    copy.spec.containers = [{ name: 'consul-dataplane' }, ...copy.spec.containers];
    return annotated(copy, { 'consul.hashicorp.com/connect-inject-status': 'injected' });
  },
  osm: (pod) => {
    const copy = structuredClone(pod);
    // All of them to one port, which leads to the last container's.
    for (const { httpGet } of httpProbes(copy.spec.containers)) {
      Object.assign(httpGet, { path: '/osm-readiness-probe', port: 15_902 });
    }
    const ports = exemptPorts(copy, 'osm');
    const excluded =
      ports === undefined ? '' : `-I OSM_PROXY_INBOUND -p tcp --match multiport --dports ${ports} -j RETURN\n`;
    const script = `iptables-restore --noflush <<EOF\n*nat\n${excluded}COMMIT\nEOF\n`;
    copy.spec.initContainers = [...(copy.spec.initContainers ?? []), { name: 'osm-init', args: ['-c', script] }];
    copy.spec.containers = [...copy.spec.containers, { name: 'envoy' }];
    return copy;
  },
};

const sidecar = (name: string) => ({ name, restartPolicy: 'Always' });

/** The pod's own list of ports, without blanks. */
function exemptPorts({ metadata }: PatchedPod, mesh: OtherInjector): string | undefined {
  return metadata.annotations?.[MESHES[mesh].exemptPorts]?.replaceAll(' ', '');
}

function annotated(pod: PatchedPod, annotations: Record<string, string>): PatchedPod {
  pod.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  return pod;
}

function httpProbes(containers: JsonObject[]): { httpGet: JsonObject; timeoutSeconds: number }[] {
  return containers.flatMap(({ readinessProbe }) => {
    const { httpGet, timeoutSeconds = 1 } = (readinessProbe ?? {}) as { httpGet?: JsonObject; timeoutSeconds?: number };
    return httpGet === undefined ? [] : [{ httpGet, timeoutSeconds }];
  });
}
