// The programs of the cluster: taken from the machine where it has the right ones, else built from pinned Go modules.
import { access, constants } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../test/harness/netns/processes.ts';
import { buildMissing, type Module } from './build-program.ts';
import { errors } from './cluster-errors.ts';
import type { Settings } from './cluster-settings.ts';

/** Of tools/kubernetes/go.mod. */
const VERSION = '1.34.4';
const [MAJOR = '', MINOR = ''] = VERSION.split('.');
/** The minor versions of all programs must be the same; patch versions may differ. */
const WANTED = new RegExp(`\\bv${MAJOR}\\.${MINOR}\\.\\d+`);
const COMPONENT_VERSION = 'k8s.io/component-base/version';

const kubernetes = (name: string) => [name, `k8s.io/kubernetes/cmd/${name}`] as const;
const tool = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

const KUBERNETES: Module = {
  directory: tool('kubernetes'),
  packages: new Map<string, string>([
    kubernetes('kube-apiserver'),
    kubernetes('kube-controller-manager'),
    kubernetes('kube-scheduler'),
    kubernetes('kubelet'),
    kubernetes('kube-proxy'),
    kubernetes('kubectl'),
    ['pause', './pause'],
  ]),
  // Without them a program says v0.0.0, and the others refuse it.
  variables: {
    [`${COMPONENT_VERSION}.gitVersion`]: `v${VERSION}`,
    [`${COMPONENT_VERSION}.gitMajor`]: MAJOR,
    [`${COMPONENT_VERSION}.gitMinor`]: MINOR,
  },
};
const MODULES: Module[] = [
  KUBERNETES,
  { directory: tool('coredns'), packages: new Map([['coredns', '.']]), variables: {} },
];
/**
 * Debian 12's containerd and runc know no user namespaces for pods; containerd 2.0 and runc 1.2 do.
 * `seccomp` is for runc, which cannot be built without C.
 */
const RUNTIME: Module = {
  directory: tool('containerd'),
  packages: new Map([
    ['containerd', 'github.com/containerd/containerd/v2/cmd/containerd'],
    ['containerd-shim-runc-v2', 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2'],
    ['runc', 'github.com/opencontainers/runc'],
  ]),
  variables: {},
  cgoTags: ['seccomp', 'no_btrfs', 'no_devmapper', 'no_zfs'],
};
/** Debian 12 has it in an older version. */
const TUNING: Module = {
  directory: tool('cni-plugins'),
  packages: new Map([['tuning', 'github.com/containernetworking/plugins/plugins/meta/tuning']]),
  variables: { 'github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion': 'v1.10.0' },
};
/** How to ask a program for its version, and what it has to print. The others of the modules are always built. */
const QUESTIONS = new Map<string, [string[], RegExp]>([
  ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'].map(
    (name): [string, [string[], RegExp]] => [name, [['--version'], WANTED]],
  ),
  ['kubectl', [['version', '--client'], WANTED]],
  ['coredns', [['-version'], /^CoreDNS-/]],
]);
/** Programs of Debian's packages (tools/install-debian.sh). */
const PACKAGED = [
  'etcd',
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
  'runc',
  'conntrack',
  'iptables',
  'nft',
  'ip',
  'nsenter',
];
/** Plugins of the pod network, of Debian's containernetworking-plugins. */
export const CNI = ['bridge', 'host-local', 'loopback', 'portmap'].map((name) => `/usr/lib/cni/${name}`);
const PACKAGES =
  'etcd-server containerd runc containernetworking-plugins conntrack iptables nftables iproute2 util-linux';

/**
 * Finds or builds the programs.
 * @param tell is called with what takes long
 * @returns program name to absolute path
 * @throws CodedError CLUSTER_PROGRAM_MISSING, CLUSTER_BUILD_FAILED
 */
export async function findPrograms(
  settings: Settings,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  await requirePackaged(settings.path);
  const found = new Map<string, string>();
  for (const name of QUESTIONS.keys()) {
    const path = await findRight(name, settings.assets ? [settings.assets, ...settings.path] : settings.path);
    if (path) found.set(name, path);
  }
  for (const module of MODULES) {
    const missing = [...module.packages.keys()].filter((name) => !found.has(name));
    if (missing.length === 0) continue;
    for (const [name, path] of await buildMissing(module, missing, settings.cache, tell, signal)) found.set(name, path);
  }
  return found;
}

/**
 * Builds kubectl alone, which renders manifests.
 * @returns its path
 * @throws CodedError as findPrograms
 */
export async function buildKubectl(cache: string, tell: (text: string) => void, signal: AbortSignal): Promise<string> {
  return (await buildMissing(KUBERNETES, ['kubectl'], cache, tell, signal)).get('kubectl') ?? '';
}

/**
 * Builds the container runtime of the second node, where the settings ask for one that knows user namespaces.
 * @returns program name to absolute path; none where the node has the first node's runtime
 * @throws CodedError as findPrograms
 */
export async function findRuntime(
  { nodes, userNamespaces, cache }: Settings,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  if (nodes < 2 || !userNamespaces) return new Map();
  return buildMissing(RUNTIME, [...RUNTIME.packages.keys()], cache, tell, signal);
}

/**
 * Builds the CNI plugin that sets sysctls in pods, which no cluster has from the beginning.
 * @returns its path
 * @throws CodedError as findPrograms
 */
export async function buildTuning(cache: string, tell: (text: string) => void, signal: AbortSignal): Promise<string> {
  return (await buildMissing(TUNING, ['tuning'], cache, tell, signal)).get('tuning') ?? '';
}

async function requirePackaged(path: string[]): Promise<void> {
  const missing: string[] = [];
  for (const name of PACKAGED) if (!(await findIn(name, [...path, '/usr/sbin', '/sbin']))[0]) missing.push(name);
  for (const file of CNI) if (!(await isProgram(file))) missing.push(file);
  if (missing.length > 0)
    throw errors.CLUSTER_PROGRAM_MISSING(missing.join(', '), `these Debian packages: ${PACKAGES}`);
}

/** The first program of that name with the right version. */
async function findRight(name: string, directories: string[]): Promise<string | undefined> {
  const [question, answer] = QUESTIONS.get(name) ?? [[], /^/];
  for (const path of await findIn(name, directories)) {
    if (answer.test((await run(path, question)).stdout)) return path;
  }
  return undefined;
}

async function findIn(name: string, directories: string[]): Promise<string[]> {
  const paths = [...new Set(directories)].map((directory) => `${directory}/${name}`);
  const are = await Promise.all(paths.map(isProgram));
  return paths.filter((_, index) => are[index]);
}

function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
