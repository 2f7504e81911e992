// Every error that these programs report: a stable code, and a message that says what was wrong, with what
// value, and what to do. The webhook adds its own table with the same helper (webhook/webhook-errors.ts).
import { CHECKER_PORT_ANNOTATION } from './contract.ts';
import { printable } from './printable.ts';

/** An error with a code that stays the same from release to release, so that people can search for it. */
export class CodedError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    // It quotes what others wrote, and ends on terminals: one line, and nothing that a terminal would obey.
    super(printable(message));
    this.name = 'CodedError';
    this.code = code;
  }
}

/** What a log line or report says of anything thrown: its code, `UNEXPECTED` where it has none, and its message. */
export function describeError(error: unknown): { code: string; message: string } {
  const code = error instanceof CodedError ? error.code : 'UNEXPECTED';
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/**
 * Turns a table of codes and message functions into functions that make the error.
 * @param table code to a function from details to the message
 * @returns the same keys; each function returns a CodedError with that code
 */
export function defineErrors<T extends Record<string, (...details: never[]) => string>>(table: T) {
  const entries = Object.entries(table).map(([code, message]) => [
    code,
    (...details: never[]) => new CodedError(code, message(...details)),
  ]);
  return Object.fromEntries(entries) as { [K in keyof T]: (...details: Parameters<T[K]>) => CodedError };
}

export const errors = defineErrors({
  OPTION_INVALID: (name: string, value: string, allowed: string) => `${name}="${value}" is not allowed: use ${allowed}`,
  ANNOTATION_INVALID: (kind: string, name: string, value: string, allowed: string) =>
    `${kind} ${name}="${value}" is not allowed: use ${allowed}`,
  OPTION_UNKNOWN: (argument: string) => `unknown argument "${argument}": --help lists the arguments`,
  COMMAND_MISSING: (command: string) => `${command} is not installed here: use the image that invalid-drop ships`,
  COMMAND_TIMEOUT: (command: string, milliseconds: number) =>
    `${command} did not end within ${milliseconds} ms: look for an overloaded node, or for a program that holds the xtables lock`,
  COMMAND_KILLED: (command: string) =>
    `${command} was killed, mostly for want of memory: the ruleset is larger than the container's memory limit allows, ` +
    'so raise it with the webhook options init-resources and checker-resources',
  COMMAND_FAILED: (command: string, exitCode: number | null, stderr: string) =>
    `${command} failed with exit code ${exitCode}: ${stderr.replaceAll('\n', '; ')}${adviceOn(stderr)}`,
  COMMAND_TOO_LARGE: (command: string, what: string, bytes: number) =>
    `${command} ${what} more than ${(bytes / 1024 ** 2).toFixed(1)} MiB, which the container's memory limit leaves: the ruleset is very large; ` +
    'raise the webhook options init-resources and checker-resources',
  LEGACY_UNREADABLE: (family: string, stderr: string) =>
    `iptables-legacy holds ${family} tables here and cannot be read (${stderr}): it needs CAP_NET_RAW, ` +
    'so set the webhook option legacy-iptables=enabled',
  RULESET_UNSTEADY: (reads: number) =>
    `the ruleset changed each of ${reads} times that it was read: another program keeps writing rules in this pod, and xtables-monitor --event shows which`,
  NFT_UNREADABLE: (text: string) =>
    `the output of nft is not JSON ("${text.trim()}"): nft 0.9.8 or later is needed, ` +
    'and before 1.0.7 the last table may not have flags unless it has rules too',
  NFT_MISSING: () =>
    'this kernel has no nftables: connections with stray segments cannot be noted, and those that hang are not rescued',
  EXEMPTION_FAILED: (reasons: string) =>
    `INVALID packets of connections that the pod opened are dropped, so that some may hang: ${reasons}`,
  LOCK_BUSY: (holder: string, milliseconds: number) =>
    `${holder} holds the abstract socket that is this pod's lock: continuing without it after ${milliseconds} ms; look for a program in the pod that keeps @invalid-drop.lock`,
  NAMESPACE_GONE: (path: string) => `the pod's network namespace is gone: ${path} is missing, or is another one now`,
  NAMESPACE_UNSEEN: (milliseconds: number) =>
    `no process has entered the pod's network namespace within ${milliseconds} ms: the agent needs CAP_SYS_ADMIN, nsenter and prlimit`,
  NAMESPACE_TOO_LARGE: (file: string, bytes: number) =>
    `/proc/net/${file} of the pod is longer than ${bytes} bytes: the agent reads no more of it, and cannot tell whether the pod is guarded`,
  NAMESPACE_UNREADABLE: (file: string) =>
    `/proc/net/${file} of the pod is empty or missing: the process by which it is read has just ended, and the next check reads it again`,
  LIBERAL_FAILED: (reason: string) =>
    `nf_conntrack_tcp_be_liberal cannot be set in the pod (${reason}): mount the node's /proc/sys/net writable, as the option proc-sys-net says`,
  WITHDRAWAL_FAILED: (reason: string) => `rules of ours could not be taken out of the pod: ${reason}`,
  SYNPROXY_IN_USE: (family: string, rule: string) =>
    `this pod uses SYNPROXY for ${family} ("${rule}"), which needs INVALID packets: with a rule that drops them no ` +
    'connection comes about, so none is put in; set the annotation invalid-drop.io/inject=disabled',
  NOT_GUARDED: (family: string, interfaceClass: string, reason: string) =>
    `INVALID ${family} packets on the ${interfaceClass} interface are not certain to be dropped: ${reason}`,
  REPAIR_FAILED: (reasons: string) => `the rule was put back, and INVALID packets are still not dropped: ${reasons}`,
  PORT_TAKEN: (port: number, reason: string) =>
    `cannot listen on port ${port} (${reason}): another container of the pod uses it; give the checker another port with the pod's annotation ${CHECKER_PORT_ANNOTATION}`,
  INSTALL_OVERDUE: (seconds: number, reason: string) =>
    `this pod is not guarded after ${seconds} s, and the kubelet waits: ${reason}`,
  HOOK_UNHEARD: (path: string) =>
    `${path} is no FIFO, so that the postStart hook does not wait for the rule: the image was altered; use it as it was released`,
  TRACING_UNAVAILABLE: (reason: string) =>
    `the kernel's tracepoint cannot be watched here (${reason}): run it on the node with ` +
    'kubectl debug node/NAME --profile=sysadmin, where tracefs is mounted at /sys/kernel/tracing',
  RESETS_NOT_WATCHED: (reason: string) =>
    `resets are not counted, because the kernel's tracepoint cannot be watched (${reason}): mount the node's ` +
    '/sys/kernel/tracing at /host/sys/kernel/tracing, writable, or set --resets=disabled',
  CLUSTER_CONFIGURATION: (from: string, why: string) =>
    `cannot read the cluster's address and credentials from ${from} (${why}): correct --kubeconfig`,
  CLUSTER_NO_LIST: (path: string) => `what the API server answers to ${path} is no list: it has no items`,
  CLUSTER_LIST_ENDLESS: (path: string, pages: number) =>
    `the list of ${path} does not end after ${pages} pages: look for a proxy before the API server that alters its answers`,
  AGENT_PORT_TAKEN: (port: number, why: string) =>
    `cannot listen on port ${port} (${why}): stop the other agent, or choose another port with --port`,
  AGENT_UNREACHABLE: (port: number, why: string) =>
    `no node agent answers on port ${port} of this host (${why}): run this in the agent's container, or name its port with --port`,
  INSERT_USELESS: (family: string) =>
    `the ${family} rule is at position 1 already, and INVALID packets are still not dropped: the verdict names the rule that accepts them`,
});

/** What to do about a failure that only ever has one cause. The words are of nft, iptables and strerror(EPERM). */
function adviceOn(stderr: string): string {
  if (!/Operation not permitted|you must be root/.test(stderr)) return '';
  return ' (the container needs CAP_NET_ADMIN and uid 0: check its securityContext)';
}
