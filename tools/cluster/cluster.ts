// What tests do with a cluster of tools/cluster. Its API server, Services and pods are reached from its network namespace
// only: run the tests there (`node tools/cluster/cluster-command.ts run -- npx tap run ...`), or single programs by
// `run`.
import { type ProgramOutput, run } from '../../test/harness/netns/processes.ts';
import { type Component, killComponent, startComponent, stopComponent } from './cluster-components.ts';
import { loadImage } from './cluster-images.ts';
import { layoutOf } from './cluster-layout.ts';
import { bringUp, isUp, takeDown } from './cluster-lifecycle.ts';
import { enterNetwork, enterPod, environmentOf, kubectl, pidsOfPod, tryKubectl } from './cluster-node.ts';
import { findLeftovers } from './cluster-processes.ts';
import type { Settings } from './cluster-settings.ts';

type Options = Parameters<typeof run>[2];
export type Cluster = ReturnType<typeof openCluster>;

/**
 * A cluster by its name, up or not.
 * @param settings from readSettings(process.env)
 */
export function openCluster(settings: Settings) {
  const layout = layoutOf(settings.name);
  const never = new AbortController().signal;
  return {
    /** Paths and names: auditLog, logs, kubeconfig, netns and more. */
    layout,
    /** Brings it up; false where it was. It is taken down where that fails or the signal aborts. */
    up: (signal: AbortSignal = never) => bringUp(layout, settings, () => undefined, signal),
    isUp: () => isUp(layout),
    /** Takes it down; an error where anything stays behind. */
    down: () => takeDown(layout),
    leftovers: () => findLeftovers(layout),
    /** Runs a program in the cluster's network to its end, whatever its exit code, with KUBECONFIG set. */
    run: (command: string[], options: Options = {}): Promise<ProgramOutput> => {
      const [program = '', ...args] = enterNetwork(layout, command);
      return run(program, args, { env: environmentOf(layout), ...options });
    },
    /** What kubectl prints; an exit code other than 0 is an error. */
    kubectl: (args: string[], options: Options = {}) => kubectl(layout, args, options),
    tryKubectl: (args: string[], options: Options = {}) => tryKubectl(layout, args, options),
    /** Gives every containerd an image from an OCI archive. */
    load: (archive: string, image: string) => loadImage(layout, archive, image),
    /** Starts and ends components. As on a failing machine, containers go on without kubelet and containerd. */
    start: (component: Component, node = 1) => startComponent(layoutOf(layout.name, node), component),
    stop: (component: Component, node = 1) => stopComponent(layoutOf(layout.name, node), component),
    kill: (component: Component, node = 1) => killComponent(layoutOf(layout.name, node), component),
    /** Ids of a pod's processes on this machine. */
    pidsOfPod: (namespace: string, pod: string) => pidsOfPod(layout, namespace, pod),
    /** The command that runs a command of this machine in a pod's network namespace. */
    enterPod: (namespace: string, pod: string, command: string[]) => enterPod(layout, namespace, pod, command),
  };
}
