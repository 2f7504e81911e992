// Every mesh whose rules are put into the kernel by the tests: which, by what, and for which families.
import { MESHES, type MeshName } from '../../../lib/mesh/meshes.ts';
import type { Backend } from '../../../lib/netfilter/model.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';
import { redirectRules } from '../netns/istio-rules.ts';
import type { NetworkNamespace } from '../netns/network-namespaces.ts';
import { type MeshInPod, restoreEach } from '../netns/redirected-upload.ts';
import { kumaRules } from './kuma-rules.ts';
import { linkerdRules } from './linkerd-rules.ts';
import { runConsul, runKuma, runLinkerd, runOsm } from './rule-writers.ts';

/** A mesh with one configuration. */
export interface MeshSetup extends MeshInPod {
  /** For tests' names and tables. */
  title: string;
  mesh: MeshName;
  /** Whether the mesh's own program writes the rules, which needs Go, or they are rebuilt from its sources; the version. */
  origin: 'run' | 'rebuilt';
  version: string;
  families: Family[];
  /** Whether a rule of the mesh drops INVALID packets. */
  dropsInvalid?: true;
}

type Writer = (pod: NetworkNamespace, backend: Backend) => Promise<void>;

type Facts = Pick<MeshSetup, 'mesh' | 'title' | 'version' | 'families'> & Partial<MeshSetup>;

const setup = (origin: MeshSetup['origin'], redirect: Writer, facts: Facts): MeshSetup => ({
  origin,
  redirect,
  proxyPort: MESHES[facts.mesh].inboundPort,
  proxyUid: MESHES[facts.mesh].proxyUid,
  ...facts,
});

const run = (redirect: Writer, facts: Facts) => setup('run', redirect, facts);

const rebuilt = (rulesOf: (family: Family) => string, facts: Omit<Facts, 'families'>) =>
  setup('rebuilt', (pod, backend) => restoreEach(pod, backend, rulesOf), { ...facts, families: ['ipv4', 'ipv6'] });

/** In the order of tables. */
export const MESH_SETUPS: MeshSetup[] = [
  rebuilt((family) => redirectRules(family), { mesh: 'istio', title: 'Istio sidecar', version: '1.20 to 1.32' }),
  rebuilt(() => linkerdRules(), { mesh: 'linkerd', title: 'Linkerd', version: 'proxy-init 2.4.9' }),
  run(runLinkerd, { mesh: 'linkerd', title: 'Linkerd, mid 2022', version: 'proxy-init 1.6.2', families: ['ipv4'] }),
  rebuilt((family) => kumaRules(family), { mesh: 'kuma', title: 'Kuma', version: '2.14.3' }),
  rebuilt((family) => kumaRules(family, { dropInvalid: true }), {
    mesh: 'kuma',
    title: 'Kuma, dropInvalidPackets',
    version: '2.14.3',
    dropsInvalid: true,
  }),
  run(runKuma, { mesh: 'kuma', title: 'Kuma, mid 2022', version: '1.8.1', families: ['ipv4', 'ipv6'] }),
  run(runConsul, { mesh: 'consul', title: 'Consul', version: 'sdk 0.18.2', families: ['ipv4', 'ipv6'] }),
  run(runOsm, { mesh: 'osm', title: 'Open Service Mesh', version: '1.2.4', families: ['ipv4'] }),
];

/** Without Linkerd's old program, whose rules are those that are rebuilt (mesh-writers.test.ts). */
export const DIFFERENT_SETUPS = MESH_SETUPS.filter(({ mesh, origin }) => mesh !== 'linkerd' || origin === 'rebuilt');

/** Each with iptables-nft, and one with a mangle table and one without with iptables-legacy too. */
export const withBackends = (setups: MeshSetup[]): [MeshSetup, Backend][] =>
  setups.flatMap((setup): [MeshSetup, Backend][] => {
    const alsoLegacy = setup.dropsInvalid || setup.mesh === 'consul';
    const backends: Backend[] = alsoLegacy ? ['nft', 'legacy'] : ['nft'];
    return backends.map((backend) => [setup, backend]);
  });
