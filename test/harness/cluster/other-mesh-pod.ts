// Pods as the injectors of other meshes leave them, with containers that run: stand-ins, which say so. The rules are real, and redirect
// what the mesh's would; behind the proxy's port nobody listens, so that only what is exempt can be reached.
import type { JsonObject } from '../../../lib/json.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';
import { OTHER_INJECTORS, type OtherInjector } from '../../webhook/admission/other-injectors.ts';
import type { PatchedPod } from '../../webhook/admission/patched-pod.ts';
import { appContainer, INIT_IMAGE } from './pod-status.ts';

const WRITE_RULES = `require('node:child_process').execFileSync('iptables-nft-restore', ['--noflush'], { input: process.env.RULES })`;

/** Kuma's agent, as far as probes go: asks PORT/PATH of the pod for the kubelet. */
const PROBE_PROXY = `
const http = require('node:http');
http.createServer((asked, answer) => {
  const [, port, path] = /^\\/(\\d+)(\\/.*)$/.exec(asked.url);
  http.get({ host: '127.0.0.1', port, path }, ({ statusCode }) => answer.writeHead(statusCode).end())
    .on('error', () => answer.writeHead(503).end());
}).listen(9001);
process.on('SIGTERM', () => process.exit(0));`;

/** The pod after the mesh's injector; a pod that has been through it already is as it was. */
export function injectRunning(mesh: OtherInjector, pod: PatchedPod, annotations: Record<string, string>): PatchedPod {
  const { init, proxy } = MESHES[mesh].containers;
  const ours = [...init, ...proxy, 'envoy'] as unknown[];
  const isThere = (container: JsonObject) => ours.includes(container['name']);
  if ([...(pod.spec.initContainers ?? []), ...pod.spec.containers].some(isThere)) return pod;
  const injected = OTHER_INJECTORS[mesh](pod, annotations);
  for (const container of [...(injected.spec.initContainers ?? []), ...injected.spec.containers].filter(isThere)) {
    const name = String(container['name']);
    const isInit = init.some((one) => one === name);
    Object.assign(
      container,
      isInit ? initOf(mesh, container) : appContainer(name, name === 'kuma-sidecar' ? PROBE_PROXY : undefined),
    );
  }
  return injected;
}

/** Writes rules in the mesh's chain that leave alone what its own would. */
function initOf(mesh: OtherInjector, container: JsonObject): JsonObject {
  const { inboundPort, chains } = MESHES[mesh];
  const [chain] = chains;
  const returns = exemptIn(mesh, container).map(
    (ports) => `-A ${chain} -p tcp -m tcp --dport ${ports.replace('-', ':')} -j RETURN`,
  );
  const enter = `-A PREROUTING -p tcp -j ${chain}`;
  const redirect = `-A ${chain} -p tcp -j REDIRECT --to-ports ${inboundPort}`;
  const rules = ['*nat', `:${chain} - [0:0]`, enter, ...returns, redirect, 'COMMIT', ''].join('\n');
  const capabilities = { drop: ['ALL'], add: ['NET_ADMIN'] };
  return {
    ...{ image: INIT_IMAGE, imagePullPolicy: 'IfNotPresent', command: ['node', '-e', WRITE_RULES, '--'] },
    env: [...((container['env'] as JsonObject[]) ?? []), { name: 'RULES', value: rules }],
    securityContext: { runAsUser: 0, capabilities },
  };
}

/** Ports, or ranges, that what the injector wrote keeps out of the proxy. */
function exemptIn(mesh: OtherInjector, { args, env }: JsonObject): string[] {
  const words = (args ?? []) as string[];
  const [{ value: config = '{}' } = {}] = (env ?? []) as { value?: string }[];
  const lists: Record<OtherInjector, () => string | undefined> = {
    linkerd: () => words.at(-1),
    kuma: () => words[1]?.replace('--exclude-inbound-ports=', ''),
    consul: () => JSON.parse(config).ExcludeInboundPorts.join(','),
    osm: () => /--dports (\S+)/.exec(words[1] ?? '')?.[1],
  };
  return (lists[mesh]() ?? '').split(',').filter((port) => port !== '');
}
