// The programs of the cluster, in the order in which they start: their arguments, their start and end, and whether they
// do their work.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../test/harness/netns/processes.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import { errors } from './cluster-errors.ts';
import { type Layout, layoutOf, MAX_NODES, NETWORK, networkOf } from './cluster-layout.ts';
import { enterNetwork, enterNode, tryKubectl } from './cluster-node.ts';
import { livingPid, startDaemon } from './cluster-processes.ts';

export const COMPONENTS = [
  'etcd',
  'containerd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'coredns',
] as const;
export type Component = (typeof COMPONENTS)[number];

/** What runs on each node; the others run on the first. */
const ON_EACH_NODE: readonly Component[] = ['containerd', 'kubelet', 'kube-proxy'];

/** The components of a node, in the order in which they start. */
export function componentsOf({ number }: Pick<Layout, 'number'>): Component[] {
  return COMPONENTS.filter((component) => number === 1 || ON_EACH_NODE.includes(component));
}

/** @param text `kubelet`, or `kubelet@2` for that of the second node @returns undefined where there is no such one */
export function readComponent(layout: Layout, text: string): { component: Component; node: Layout } | undefined {
  const [name, number = '1', ...rest] = text.split('@');
  if (rest.length > 0 || !(Number(number) >= 1 && Number(number) <= MAX_NODES)) return undefined;
  const node = layoutOf(layout.name, Number(number));
  const component = componentsOf(node).find((one) => one === name);
  return component && { component, node };
}

/** The arguments of a component; its program has the component's name. */
export function argumentsOf(component: Component, layout: Layout): string[] {
  return ARGUMENTS[component](layout);
}

const ARGUMENTS: Record<Component, (layout: Layout) => string[]> = {
  etcd: ({ data }) => [
    `--data-dir=${data}/etcd`,
    `--listen-client-urls=${NETWORK.etcd}`,
    `--advertise-client-urls=${NETWORK.etcd}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--logger=zap',
  ],
  containerd: ({ files, suffix }) => [`--config=${files}/containerd${suffix}.toml`],
  'kube-apiserver': ({ files, pki, auditLog }) => [
    `--etcd-servers=${NETWORK.etcd}`,
    `--advertise-address=${NETWORK.node.ipv4}`,
    `--service-cluster-ip-range=${NETWORK.services.ipv4},${NETWORK.services.ipv6}`,
    '--allow-privileged=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    `--client-ca-file=${pki}/ca.crt`,
    `--tls-cert-file=${pki}/kube-apiserver.crt`,
    `--tls-private-key-file=${pki}/kube-apiserver.key`,
    `--kubelet-certificate-authority=${pki}/ca.crt`,
    `--kubelet-client-certificate=${pki}/kubelet-client.crt`,
    `--kubelet-client-key=${pki}/kubelet-client.key`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki}/service-accounts.key`,
    `--service-account-signing-key-file=${pki}/service-accounts.key`,
    `--audit-policy-file=${files}/audit-policy.json`,
    `--audit-log-path=${auditLog}`,
  ],
  'kube-controller-manager': ({ files, pki, name }) => [
    `--kubeconfig=${files}/kube-controller-manager.kubeconfig`,
    `--cluster-name=${name}`,
    `--root-ca-file=${pki}/ca.crt`,
    `--cluster-signing-cert-file=${pki}/ca.crt`,
    `--cluster-signing-key-file=${pki}/ca.key`,
    `--service-account-private-key-file=${pki}/service-accounts.key`,
    `--service-cluster-ip-range=${NETWORK.services.ipv4},${NETWORK.services.ipv6}`,
    '--use-service-account-credentials=true',
    // With the default of 20 a second it takes 5 s until there is a service account for pods.
    '--kube-api-qps=500',
    '--kube-api-burst=500',
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ],
  'kube-scheduler': ({ files }) => [
    `--kubeconfig=${files}/kube-scheduler.kubeconfig`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ],
  kubelet: ({ files, suffix, nodeName, number }) => [
    `--config=${files}/kubelet${suffix}.json`,
    `--kubeconfig=${files}/kubelet${suffix}.kubeconfig`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${Object.values(networkOf(number).node).join(',')}`,
  ],
  'kube-proxy': ({ files, suffix }) => [`--config=${files}/kube-proxy${suffix}.json`],
  coredns: ({ files }) => [`-conf=${files}/Corefile`],
};

const SERVE_LIMIT = 120_000;
const END_LIMIT = 15_000;
const LAST_LINES = 5;

/**
 * Starts a component and waits until it does its work. It may already run.
 * @throws CodedError CLUSTER_ENDED, CLUSTER_TIMEOUT
 */
export async function startComponent(layout: Layout, component: Component): Promise<void> {
  await launchComponent(layout, component);
  await waitUntilServes(layout, component);
}

/** Waits until a component that was started does its work; the signal ends the wait. */
export async function waitUntilServes(layout: Layout, component: Component, signal?: AbortSignal): Promise<void> {
  const ask = async () => {
    if ((await pidOf(layout, component)) === undefined) throw await endedError(layout, component);
    return serves(layout, component);
  };
  if (await waitUntil(ask, SERVE_LIMIT, signal)) return;
  throw errors.CLUSTER_TIMEOUT(`an answer of ${component}${layout.suffix}`, SERVE_LIMIT, layout.logs);
}

/** Starts a component and does not wait. Nothing happens where it runs. */
export async function launchComponent(layout: Layout, component: Component): Promise<void> {
  if (await pidOf(layout, component)) return;
  const command = [component, ...argumentsOf(component, layout)];
  await startDaemon(layout, `${component}${layout.suffix}`, await enterNode(layout, command));
}

/** Asks a component to end, by SIGTERM, and kills it where it does not within 15 s. Containers go on. */
export function stopComponent(layout: Layout, component: Component): Promise<void> {
  return end(layout, component, 'SIGTERM');
}

/** Kills a component and waits for its end. */
export function killComponent(layout: Layout, component: Component): Promise<void> {
  return end(layout, component, 'SIGKILL');
}

/** Id of a component's process where it runs. */
export function pidOf(layout: Layout, component: Component | 'node'): Promise<number | undefined> {
  return livingPid(`${layout.pids}/${component}${layout.suffix}`);
}

/** Components of a node that do not run. */
export async function endedComponents(layout: Layout): Promise<Component[]> {
  const components = componentsOf(layout);
  const pids = await Promise.all(components.map((component) => pidOf(layout, component)));
  return components.filter((_, index) => pids[index] === undefined);
}

/** The error of a component that has ended, with the end of its log. */
export async function endedError(layout: Layout, component: Component) {
  const name = `${component}${layout.suffix}`;
  const file = `${layout.logs}/${name}.log`;
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
  return errors.CLUSTER_ENDED(name, `${file}: ${lines.slice(-LAST_LINES).join('\n')}`);
}

async function end(layout: Layout, component: Component, signal: NodeJS.Signals): Promise<void> {
  const ended = async () => (await pidOf(layout, component)) === undefined;
  const pid = await pidOf(layout, component);
  if (pid === undefined) return;
  process.kill(pid, signal);
  if (await waitUntil(ended, END_LIMIT)) return;
  process.kill(pid, 'SIGKILL');
  if (!(await waitUntil(ended, END_LIMIT)))
    throw errors.CLUSTER_TIMEOUT(`the end of ${component}${layout.suffix}`, END_LIMIT, layout.logs);
}

const RESOLVE = fileURLToPath(new URL('resolve-cluster-dns.ts', import.meta.url));

const QUESTIONS: Partial<Record<Component, (layout: Layout) => Promise<boolean>>> = {
  // The kubelet ends if containerd does not answer at once.
  containerd: ({ containerd }) => succeeds('ctr', ['--address', containerd, 'version']),
  'kube-apiserver': (layout) => answers(layout, '/readyz'),
  kubelet: (layout) => answers(layout, `/api/v1/nodes/${layout.nodeName}/proxy/healthz`),
  coredns: (layout) => {
    const [program = '', ...args] = enterNetwork(layout, [process.execPath, RESOLVE]);
    return succeeds(program, args);
  },
};

/** Whether it answers; true for a component that nothing waits for. */
export function serves(layout: Layout, component: Component): Promise<boolean> {
  return QUESTIONS[component]?.(layout) ?? Promise.resolve(true);
}

async function answers(layout: Layout, path: string): Promise<boolean> {
  return (await tryKubectl(layout, ['get', '--raw', path])).exitCode === 0;
}

async function succeeds(program: string, args: string[]): Promise<boolean> {
  return (await run(program, args)).exitCode === 0;
}
