// The programs of other meshes that write redirect rules, built from their Go modules (tools/NAME/go.mod pins the versions)
// and run as the mesh's injector has its init container run them, with the mesh's defaults and the checker's port excluded.
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHECKER_PORT } from '../../../lib/contract.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';
import type { Backend } from '../../../lib/netfilter/model.ts';
import { buildMissing, type Module } from '../../../tools/cluster/build-program.ts';
import { readSettings } from '../../../tools/cluster/cluster-settings.ts';
import type { NetworkNamespace } from '../netns/network-namespaces.ts';
import { run } from '../netns/processes.ts';

const tool = (name: string, program: string, path: string): Module => ({
  directory: fileURLToPath(new URL(`../../../tools/${name}`, import.meta.url)),
  packages: new Map([[program, path]]),
  variables: {},
});

const MODULES = {
  consul: tool('consul', 'consul', '.'),
  kuma: tool('kuma', 'kuma', '.'),
  linkerd: tool('linkerd', 'linkerd2-proxy-init', 'github.com/linkerd/linkerd2-proxy-init'),
  osm: {
    ...tool('osm', 'osm', '.'),
    borrowed: new Map([
      ['injector/iptables.go', { module: 'github.com/openservicemesh/osm', path: 'pkg/injector/iptables.go' }],
    ]),
  },
} satisfies Record<string, Module>;

type WriterName = keyof typeof MODULES;

const BACKENDS = ['nft', 'legacy'] as const;
const PLAIN_NAMES = ['iptables', 'ip6tables'].flatMap((name) => ['', '-save', '-restore'].map((verb) => [name, verb]));

/** The path of a rule writer, which is built where the cache has none: the first time takes up to a minute. */
export async function findRuleWriter(name: WriterName): Promise<string> {
  const { cache } = readSettings(process.env);
  const [program = ''] = [...MODULES[name].packages.keys()];
  const built = await buildMissing(MODULES[name], [program], cache, () => {}, new AbortController().signal);
  return built.get(program) ?? '';
}

/** Arguments of Consul's rule writer, for a pod with addresses of both families. */
export function consulArguments(): string[] {
  // consul-k8s v2.0.3, control-plane/connect-inject/webhook/redirect_traffic.go, with Consul DNS, which is on by default.
  const config = {
    ConsulDNSIP: '::1',
    ConsulDNSPort: 8600,
    ProxyUserID: String(MESHES.consul.proxyUid),
    ProxyInboundPort: MESHES.consul.inboundPort,
    ProxyOutboundPort: 15_001,
    ExcludeInboundPorts: [String(CHECKER_PORT)],
    ExcludeUIDs: ['5996'],
  };
  return ['-dual-stack', '-redirect-traffic-config', JSON.stringify(config)];
}

/** Runs Consul's `iptables.Setup`. */
export async function runConsul(pod: NetworkNamespace, backend: Backend): Promise<void> {
  await pod.must(await findRuleWriter('consul'), consulArguments(), { env: environmentOf(backend) });
}

/** Runs what is Kuma's kumactl install transparent-proxy, with one port for both families as later versions have it. */
export async function runKuma(pod: NetworkNamespace, backend: Backend): Promise<void> {
  const { inboundPort, proxyUid } = MESHES.kuma;
  const ports = ['', '-v6'].flatMap((family) => [`--redirect-inbound-port${family}`, String(inboundPort)]);
  const args = ['--kuma-dp-uid', String(proxyUid), '--exclude-inbound-ports', String(CHECKER_PORT), ...ports];
  await pod.must(await findRuleWriter('kuma'), args, { env: environmentOf(backend) });
}

/** Runs Linkerd's proxy-init, which in this version writes IPv4 rules only. */
export async function runLinkerd(pod: NetworkNamespace, backend: Backend): Promise<void> {
  // linkerd2 edge-26.8.3, charts/partials/templates/_proxy-init.tpl. The pod's annotation replaces the chart's 4567,4568.
  await pod.must(await findRuleWriter('linkerd'), [
    ...['--incoming-proxy-port', String(MESHES.linkerd.inboundPort), '--outgoing-proxy-port', '4140'],
    ...['--proxy-uid', String(MESHES.linkerd.proxyUid), '--inbound-ports-to-ignore', `4190,4191,${CHECKER_PORT}`],
    ...['--outbound-ports-to-ignore', '4567,4568'],
    ...['--firewall-bin-path', `iptables-${backend}`, '--firewall-save-bin-path', `iptables-${backend}-save`],
  ]);
}

/** Runs the script that Open Service Mesh's injector makes, as its init container does. It writes IPv4 rules only. */
export async function runOsm(pod: NetworkNamespace, backend: Backend): Promise<void> {
  const { stdout: script } = await run(await findRuleWriter('osm'), [String(CHECKER_PORT)]);
  await pod.must('/bin/sh', ['-c', script], { env: environmentOf(backend) });
}

let folder: string | undefined;

/** An environment in which `iptables` and its like are those of the backend, as in an image that has only these. */
function environmentOf(backend: Backend): NodeJS.ProcessEnv {
  folder ??= makeFolder();
  return { ...process.env, PATH: [`${folder}/${backend}`, process.env['PATH']].join(delimiter) };
}

function makeFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'invalid-drop-iptables-'));
  process.once('exit', () => rmSync(made, { recursive: true }));
  for (const backend of BACKENDS) {
    mkdirSync(join(made, backend));
    for (const [name, verb] of PLAIN_NAMES)
      symlinkSync(findProgram(`${name}-${backend}${verb}`), join(made, backend, `${name}${verb}`));
  }
  return made;
}

function findProgram(name: string): string {
  const found = (process.env['PATH'] ?? '').split(delimiter).find((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`${name} is not installed`);
  return join(found, name);
}
