// The node: a network namespace, and in it a process that holds a mount namespace, in which /run, /var/lib and /var/log
// are the cluster's own. Programs can then keep to their usual places, and all mounts end with the last process.
import { access, mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import { errors } from './cluster-errors.ts';
import { startDaemon } from './daemon.ts';
import { type Layout, NETWORK } from './layout.ts';
import { livingPid } from './process-record.ts';
import { until } from './wait-until.ts';

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
/** Of the cluster's network namespace. */
const FORWARDING = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.bridge.bridge-nf-call-iptables=1',
  'net.bridge.bridge-nf-call-ip6tables=1',
];

/** Makes both namespaces. @throws CodedError CLUSTER_NO_BRIDGE_FILTER */
export async function makeNode(layout: Layout): Promise<void> {
  await access('/proc/sys/net/bridge').catch(() => {
    throw errors.CLUSTER_NO_BRIDGE_FILTER();
  });
  await must('ip', ['netns', 'add', layout.netns]);
  await makeLinks(layout.netns);
  await must('nsenter', [`--net=${layout.netnsFile}`, '--', 'sysctl', '-q', '-w', ...FORWARDING]);
  await startHolder(layout);
}

async function makeLinks(netns: string): Promise<void> {
  const ip = (...args: string[]) => must('ip', ['-n', netns, ...args]);
  const { bridge, node, services } = NETWORK;
  await ip('link', 'set', 'lo', 'up');
  await ip('link', 'add', bridge, 'type', 'bridge');
  // A bridge without a port has no carrier.
  await ip('link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'port1');
  await ip('link', 'set', 'port0', 'master', bridge, 'up');
  await ip('link', 'set', 'port1', 'up');
  await ip('addr', 'add', `${node.ipv4}/16`, 'dev', bridge);
  await ip('addr', 'add', `${node.ipv6}/64`, 'dev', bridge, 'nodad');
  await ip('link', 'set', bridge, 'up');
  // Only so that there is a route: kube-proxy changes the destination of whatever takes it.
  await ip('route', 'add', services.ipv4, 'dev', bridge);
  await ip('route', 'add', services.ipv6, 'dev', bridge);
}

async function startHolder(layout: Layout): Promise<void> {
  const unshare = ['unshare', '--mount', '--propagation', 'private', '--', `${layout.bin}/pause`];
  await startDaemon(layout, 'node', ['nsenter', `--net=${layout.netnsFile}`, '--', ...unshare]);
  await waitForHolder(layout);
  // Apart from the machine's mounts first; then shared within the node, as the kubelet's mount propagation wants it.
  await inNode(layout, ['mount', '--make-rshared', '/']);
  for (const [place, own] of Object.entries(layout.node)) {
    await mkdir(own, { recursive: true });
    await inNode(layout, ['mount', '--bind', own, place]);
  }
  for (const [setting, value] of Object.entries(KERNEL)) {
    const file = `${layout.files}/${setting.replaceAll('/', '.')}`;
    await writeFile(file, `${value}\n`);
    await inNode(layout, ['mount', '--bind', file, `/proc/sys/${setting}`]);
  }
}

/** Until it is `pause`, the process that becomes the holder may still be among the machine's own mounts. */
async function waitForHolder(layout: Layout): Promise<void> {
  const isPause = async () => {
    const pid = await livingPid(`${layout.pids}/node`);
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).startsWith(`${layout.bin}/pause\0`);
  };
  if (!(await until(isPause, HOLDER_LIMIT))) throw errors.CLUSTER_TIMEOUT('the node', HOLDER_LIMIT, layout.logs);
}

/**
 * The command that runs a command on the node: in its network and its mounts.
 * @throws CodedError CLUSTER_NOT_UP, also rather than that anything is mounted on the machine itself
 */
export async function enterNode(layout: Layout, command: string[]): Promise<string[]> {
  const holder = await livingPid(`${layout.pids}/node`);
  const mounts = await readlink(`/proc/${holder}/ns/mnt`).catch(() => undefined);
  if (!mounts || mounts === (await readlink('/proc/self/ns/mnt'))) throw errors.CLUSTER_NOT_UP(layout.name);
  return ['nsenter', '--target', `${holder}`, '--net', '--mount', '--', ...command];
}

async function inNode(layout: Layout, command: string[]): Promise<string> {
  const [program = '', ...args] = await enterNode(layout, command);
  return must(program, args);
}
