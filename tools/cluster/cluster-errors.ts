// The errors of a test cluster, each with its cure.
import { CodedError, defineErrors } from '../../lib/errors.ts';

export const errors = defineErrors({
  CLUSTER_NOT_ROOT: (uid: number) => `a cluster needs root, and this is user ${uid}: run it with sudo`,
  CLUSTER_PROGRAM_MISSING: (programs: string, wanted: string) => `not found: ${programs}. Install ${wanted}`,
  CLUSTER_BUILD_FAILED: (programs: string, output: string) => `cannot build ${programs}: ${output}`,
  CLUSTER_BUSY: (name: string, pid: number) =>
    `process ${pid} is bringing cluster "${name}" up: wait for it, or choose another name with CLUSTER`,
  CLUSTER_FOREIGN: (directory: string, uid: number) =>
    `${directory} belongs to user ${uid}, who could change what runs as root: remove it`,
  CLUSTER_FEWER_NODES: (name: string, has: number, wanted: number) =>
    `cluster "${name}" is up with ${has} of ${wanted} nodes: run make cluster-down first, or choose another name with CLUSTER`,
  CLUSTER_NOT_UP: (name: string) => `cluster "${name}" is not up: run make cluster-up`,
  CLUSTER_TIMEOUT: (what: string, milliseconds: number, log: string) =>
    `${what} did not come within ${milliseconds} ms: the logs are in ${log}`,
  CLUSTER_ENDED: (component: string, log: string) => `${component} ended: ${log}`,
  CLUSTER_INTERRUPTED: (name: string) => `interrupted: cluster "${name}" is taken down`,
  CLUSTER_POD_NOT_RUNNING: (pod: string) => `pod ${pod} has no process on the node: wait until it runs`,
  CLUSTER_IMPORT_FAILED: (archive: string, output: string) => `cannot import ${archive}: ${output}`,
  CLUSTER_NO_BRIDGE_FILTER: () =>
    'packets on a bridge do not pass the firewall here (/proc/sys/net/bridge is missing), so Services would not work: ' +
    'load the kernel module br_netfilter',
  CLUSTER_LEFTOVERS: (name: string, list: string) => `left behind by cluster "${name}": ${list}`,
  CLUSTER_COMMAND_UNKNOWN: (command: string) =>
    `unknown command "${command}": use up, down, status, shell, run -- COMMAND, load FILE NAME, stop|start|kill COMPONENT[@NODE]`,
});

/** Prints why a command failed, with its code where it has one, and sets exit code 1. */
export function failCommand(error: unknown): void {
  const { stack } = error as Error;
  process.stderr.write(error instanceof CodedError ? `${error.code}: ${error.message}\n` : `${stack}\n`);
  process.exitCode = 1;
}
