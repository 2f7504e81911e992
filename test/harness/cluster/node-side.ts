// Acts on the node itself. That is possible only on a cluster that tools/cluster made; elsewhere such tests are
// skipped.
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { killComponent, startComponent } from '../../../tools/cluster/cluster-components.ts';
import { firstNodes, type Layout, layoutOf, MAX_NODES } from '../../../tools/cluster/cluster-layout.ts';
import { enterNode, enterPod } from '../../../tools/cluster/cluster-node.ts';
import { pidsInCgroups } from '../../../tools/cluster/cluster-processes.ts';
import { must, Program } from '../netns/processes.ts';
import { eventually } from '../wait-until.ts';
import { getPod, type Pod } from './pod-status.ts';

const NFT = ['nft', '--stateless', 'list', 'ruleset'] as const;

/** The first node of the cluster that KUBECONFIG names, or undefined where that is none of ours. */
export function ownNode(): Layout | undefined {
  const layout = layoutOf(process.env['CLUSTER'] || 'invalid-drop');
  return process.env['KUBECONFIG'] === layout.kubeconfig ? layout : undefined;
}

/** For `{ skip }` of a test: the reason by which it is skipped, or false. */
export const skipWithoutNode = ownNode() ? false : 'needs the node itself';

/** The first node, which is the only one of most clusters. @throws Error where the test should have been skipped */
export function node(): Layout {
  const layout = ownNode();
  if (!layout) throw new Error('the cluster is not ours: skip this test by skipWithoutNode');
  return layout;
}

/** The node that a pod is on. */
export function nodeOf({ metadata, spec }: Pod): Layout {
  const found = firstNodes(node(), MAX_NODES).find(({ nodeName }) => nodeName === spec['nodeName']);
  if (!found) throw new Error(`pod ${metadata.name} is on no node of ours: ${spec['nodeName']}`);
  return found;
}

/** Runs a program of this machine on the node, in its network and its mounts. @returns what it printed */
export function onNode(...command: string[]): Promise<string> {
  return onNodeOf(node(), ...command);
}

/** As onNode, on any node. */
export async function onNodeOf(which: Layout, ...command: string[]): Promise<string> {
  const [program = '', ...args] = await enterNode(which, command);
  return must(program, args);
}

/** Runs programs of this machine in a pod's network namespace, with every capability. */
export class PodPrograms {
  private readonly namespace: string;
  private readonly pod: string;

  constructor(namespace: string, pod: string) {
    this.namespace = namespace;
    this.pod = pod;
  }

  /** Runs one to its end. @returns what it printed @throws Error where its exit code is not 0 */
  async must(command: string, args: string[] = [], options?: Parameters<typeof must>[2]): Promise<string> {
    const [program = '', ...rest] = await enterPod(node(), this.namespace, this.pod, [command, ...args]);
    return must(program, rest, options);
  }

  /** Starts one that stays. */
  async start(command: string, args: string[]): Promise<Program> {
    const [program = '', ...rest] = await enterPod(node(), this.namespace, this.pod, [command, ...args]);
    return new Program(program, rest);
  }
}

/** Runs one program in a pod's network namespace. @returns what it printed */
export function inPod(namespace: string, pod: string, command: string, ...args: string[]): Promise<string> {
  return new PodPrograms(namespace, pod).must(command, args);
}

/** The pod's whole ruleset as nft prints it, without counters. */
export function podRuleset(namespace: string, pod: string): Promise<string> {
  return inPod(namespace, pod, ...NFT);
}

/** Removes every rule of the pod; nothing in the pod can prevent it. */
export async function flushPod(namespace: string, pod: string): Promise<void> {
  await inPod(namespace, pod, 'nft', 'flush', 'ruleset');
}

/**
 * The node's rules, each with its table and chain, but for those that Kubernetes writes: what belongs to kube-proxy,
 * the kubelet and the CNI plugins comes and goes with Services and pods. A chain that is empty and accepts is no rule.
 */
export async function nodeRules(which = node()): Promise<string[]> {
  return rulesOf(await onNodeOf(which, ...NFT)).filter(
    (rule) => !/\b(KUBE-|CNI-|kube-proxy|cni_plugins)|policy accept;$/.test(rule),
  );
}

/** @param ruleset as nft lists it: a table's blocks are indented by a tab, what is in them by two */
function rulesOf(ruleset: string): string[] {
  const at = { table: '', block: '' };
  return ruleset.split('\n').flatMap((line) => {
    if (line.startsWith('table ')) at.table = line.slice(6, -2);
    else if (/^\t\w.*\{$/.test(line)) at.block = line.trim().slice(0, -2);
    else if (/^\t\t/.test(line)) return [`${at.table}: ${at.block}: ${line.trim()}`];
    return [];
  });
}

/** Id of a container's first process on this machine. */
export async function pidOfContainer(pod: Pod, container: string): Promise<number> {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status;
  const status = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === container);
  const id = status?.containerID?.replace('containerd://', '');
  const tasks = await must('ctr', ['--address', nodeOf(pod).containerd, '--namespace', 'k8s.io', 'tasks', 'list']);
  const pid = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, 'm').exec(tasks)?.[1];
  if (!pid) throw new Error(`${pod.metadata.name}: ${container} does not run (${id}):\n${tasks}`);
  return Number(pid);
}

/** Kills a container by its process, and waits until the kubelet has started another. */
export async function killContainer(namespace: string, name: string, container: string): Promise<Pod> {
  const pod = await getPod(namespace, name);
  const before = restartsOf(pod, container);
  process.kill(await pidOfContainer(pod, container), 'SIGKILL');
  return eventually(`${name}: ${container} was started again`, async () => {
    const now = await getPod(namespace, name);
    return restartsOf(now, container) > before && now;
  });
}

/**
 * Waits for a pod's process whose command line has `text`, and kills it. It may live for 100 ms only, so that this
 * asks often.
 */
export async function killProcess(pod: Pod, text: string, limit = 30_000): Promise<void> {
  const end = Date.now() + limit;
  while (Date.now() < end) {
    for (const pid of await pidsInCgroups(node().cgroup, `pod${pod.metadata.uid}`)) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command.includes(text)) {
        process.kill(pid, 'SIGKILL');
        return;
      }
    }
    await wait(2);
  }
  throw new Error(`${pod.metadata.name}: no process ${text} within ${limit / 1000} s`);
}

/** How often the kubelet has started a container again. */
export function restartsOf({ status }: Pod, container: string): number {
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return all.find(({ name }) => name === container)?.restartCount ?? 0;
}

/** Kills a component of a node and starts it again. */
export async function restart(component: Parameters<typeof startComponent>[1], which = node()): Promise<void> {
  await killComponent(which, component);
  await startComponent(which, component);
}

/**
 * A pod's network as the node has it, by a process of the pod that is found once: it can be entered while the API server
 * is away.
 */
export async function heldNetwork(namespace: string, pod: string): Promise<(...command: string[]) => Promise<string>> {
  const [program = '', ...enter] = await enterPod(node(), namespace, pod, []);
  return (...command) => must(program, [...enter, ...command]);
}
