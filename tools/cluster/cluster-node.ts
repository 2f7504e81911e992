// A node of a cluster: a network namespace, and in it a process that holds a mount namespace, in which /run, /var/lib
// and /var/log are the cluster's own. Programs can then keep to their usual places, and all mounts end with the last
// process. Commands enter its network, its mounts, or the network of one of its pods.
import { access, mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { must, type ProgramOutput, run } from '../../test/harness/netns/processes.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import { errors } from './cluster-errors.ts';
import { type Layout, layoutOf, NETWORK, networkOf } from './cluster-layout.ts';
import { environmentPath, livingPid, pidsInCgroups, startDaemon } from './cluster-processes.ts';

const HOLDER_LIMIT = 10_000;
/** What the kubelet sets on its machine (setupKernelTunables in 1.34), seen by the node's programs only. */
const KERNEL = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};
/** Of the node's network namespace. */
const FORWARDING = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.bridge.bridge-nf-call-iptables=1',
  'net.bridge.bridge-nf-call-ip6tables=1',
  // The route to Services leads back to the bridge. Redirects would use up the limit of ICMP for each pod, and a Service
  // without endpoints would leave connections without an answer.
  'net.ipv4.conf.all.send_redirects=0',
  `net.ipv4.conf.${NETWORK.bridge}.send_redirects=0`,
];

/** Makes both namespaces. A further node's network is joined to the first's, which must be there. @throws CodedError CLUSTER_NO_BRIDGE_FILTER */
export async function makeNode(layout: Layout): Promise<void> {
  await access('/proc/sys/net/bridge').catch(() => {
    throw errors.CLUSTER_NO_BRIDGE_FILTER();
  });
  await must('ip', ['netns', 'add', layout.netns]);
  await makeLinks(layout);
  await must('nsenter', [`--net=${layout.netnsFile}`, '--', 'sysctl', '-q', '-w', ...FORWARDING]);
  await startHolder(layout);
}

/** The bridges of all nodes are one network, so that each reaches all pods without routes. */
async function makeLinks({ name, netns, number }: Layout): Promise<void> {
  const ip = (...args: string[]) => must('ip', ['-n', netns, ...args]);
  const { bridge, services } = NETWORK;
  const { node } = networkOf(number);
  await ip('link', 'set', 'lo', 'up');
  await ip('link', 'add', bridge, 'type', 'bridge');
  // A bridge without a port has no carrier.
  await ip('link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'port1');
  await ip('link', 'set', 'port0', 'master', bridge, 'up');
  await ip('link', 'set', 'port1', 'up');
  await ip('addr', 'add', `${node.ipv4}/16`, 'dev', bridge);
  await ip('addr', 'add', `${node.ipv6}/64`, 'dev', bridge, 'nodad');
  if (number > 1) await join(layoutOf(name).netns, netns, `node-${number}`);
  await ip('link', 'set', bridge, 'up');
  // Packets to a Service need a route; kube-proxy then changes their destination.
  await ip('route', 'add', services.ipv4, 'dev', bridge);
  await ip('route', 'add', services.ipv6, 'dev', bridge);
}

/** @param port name of the first node's end */
async function join(first: string, netns: string, port: string): Promise<void> {
  const { bridge } = NETWORK;
  await must('ip', ['-n', first, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'node-1', 'netns', netns]);
  await must('ip', ['-n', first, 'link', 'set', port, 'master', bridge, 'up']);
  await must('ip', ['-n', netns, 'link', 'set', 'node-1', 'master', bridge, 'up']);
}

async function startHolder(layout: Layout): Promise<void> {
  const unshare = ['unshare', '--mount', '--propagation', 'private', '--', `${layout.bin}/pause`];
  await startDaemon(layout, `node${layout.suffix}`, ['nsenter', `--net=${layout.netnsFile}`, '--', ...unshare]);
  await waitForHolder(layout);
  // The mounts are private to the node, and shared within it: the kubelet's mount propagation needs that.
  await inNode(layout, ['mount', '--make-rshared', '/']);
  for (const [place, own] of Object.entries(layout.node)) {
    await mkdir(own, { recursive: true });
    await inNode(layout, ['mount', '--bind', own, place]);
  }
  if (layout.number > 1) await mountWholeProc(layout);
  for (const [setting, value] of Object.entries(KERNEL)) {
    const file = `${layout.files}/${setting.replaceAll('/', '.')}`;
    await writeFile(file, `${value}\n`);
    await inNode(layout, ['mount', '--bind', file, `/proc/sys/${setting}`]);
  }
}

/** A user namespace may mount /proc only where it sees one that no mount covers in part, as KERNEL does. */
async function mountWholeProc(layout: Layout): Promise<void> {
  await mkdir(layout.wholeProc, { recursive: true });
  await inNode(layout, ['mount', '-t', 'proc', 'proc', layout.wholeProc]);
}

/** Until the process has become `pause`, it may still be in the machine's own mount namespace. */
async function waitForHolder(layout: Layout): Promise<void> {
  const isPause = async () => {
    const pid = await livingPid(`${layout.pids}/node${layout.suffix}`);
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).startsWith(`${layout.bin}/pause\0`);
  };
  if (!(await waitUntil(isPause, HOLDER_LIMIT))) throw errors.CLUSTER_TIMEOUT('the node', HOLDER_LIMIT, layout.logs);
}

/**
 * The command that runs a command on the node: in its network and its mounts.
 * @throws CodedError CLUSTER_NOT_UP, also where the process is in the machine's own mount namespace, in which nothing
 * must be mounted
 */
export async function enterNode(layout: Layout, command: string[]): Promise<string[]> {
  const holder = await livingPid(`${layout.pids}/node${layout.suffix}`);
  const mounts = await readlink(`/proc/${holder}/ns/mnt`).catch(() => undefined);
  if (!mounts || mounts === (await readlink('/proc/self/ns/mnt'))) throw errors.CLUSTER_NOT_UP(layout.name);
  return ['nsenter', '--target', `${holder}`, '--net', '--mount', '--', ...command];
}

async function inNode(layout: Layout, command: string[]): Promise<string> {
  const [program = '', ...args] = await enterNode(layout, command);
  return must(program, args);
}

type Options = Parameters<typeof run>[2];

/** The command that runs a command in the namespace. */
export function enterNetwork(layout: Layout, command: string[]): string[] {
  return ['nsenter', `--net=${layout.netnsFile}`, '--', ...command];
}

/** Environment variables by which programs find the cluster. */
export function environmentOf(layout: Layout): Record<string, string> {
  return {
    PATH: environmentPath(layout),
    KUBECONFIG: layout.kubeconfig,
    // Not in the home directory, where it would stay behind.
    KUBECACHEDIR: `${layout.state}/kubectl-cache`,
    CLUSTER: layout.name,
  };
}

/** Runs the cluster's kubectl as a superuser to its end, whatever its exit code. */
export function tryKubectl(layout: Layout, args: string[], options: Options = {}): Promise<ProgramOutput> {
  const [program = '', ...rest] = enterNetwork(layout, [`${layout.bin}/kubectl`, ...args]);
  return run(program, rest, { env: environmentOf(layout), ...options });
}

/** As `tryKubectl`, but an exit code other than 0 is an error. @returns what it printed */
export function kubectl(layout: Layout, args: string[], options: Options = {}): Promise<string> {
  const [program = '', ...rest] = enterNetwork(layout, [`${layout.bin}/kubectl`, ...args]);
  return must(program, rest, { env: environmentOf(layout), ...options });
}

/**
 * Ids of a pod's processes, of all its containers and of the one that holds its namespaces.
 * @throws CodedError CLUSTER_POD_NOT_RUNNING
 */
export async function pidsOfPod(layout: Layout, namespace: string, pod: string): Promise<number[]> {
  const uid = await kubectl(layout, ['get', 'pod', pod, '--namespace', namespace, '--output=jsonpath={.metadata.uid}']);
  const pids = await pidsInCgroups(layout.cgroup, `pod${uid}`);
  if (pids.length === 0) throw errors.CLUSTER_POD_NOT_RUNNING(`${namespace}/${pod}`);
  return pids;
}

/** The command that runs a command in a pod's network namespace. */
export async function enterPod(layout: Layout, namespace: string, pod: string, command: string[]): Promise<string[]> {
  const [pid] = await pidsOfPod(layout, namespace, pod);
  return ['nsenter', '--target', `${pid}`, '--net', '--', ...command];
}
