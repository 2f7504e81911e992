// Runs programs in the cluster's network namespace, where its API server, Services and pods can be reached.
import { type Finished, must, run } from '../../test/harness/netns/processes.ts';
import { environmentPath } from './daemon.ts';
import type { Layout } from './layout.ts';

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
export function tryKubectl(layout: Layout, args: string[], options: Options = {}): Promise<Finished> {
  const [program = '', ...rest] = enterNetwork(layout, [`${layout.bin}/kubectl`, ...args]);
  return run(program, rest, { env: environmentOf(layout), ...options });
}

/** As `tryKubectl`, but an exit code other than 0 is an error. @returns what it printed */
export function kubectl(layout: Layout, args: string[], options: Options = {}): Promise<string> {
  const [program = '', ...rest] = enterNetwork(layout, [`${layout.bin}/kubectl`, ...args]);
  return must(program, rest, { env: environmentOf(layout), ...options });
}
