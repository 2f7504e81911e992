// Every error of `kubectl invalid-drop` beside those of lib/errors.ts: a stable code, and a message that says what was
// wrong, with what value, and what to do.
import { defineErrors } from '../lib/errors.ts';

export const errors = defineErrors({
  COMMAND_UNKNOWN: (name: string, known: string) => `there is no command "${name}": use one of ${known}`,
  COMMAND_NOT_NAMED: (known: string) => `no command is named: use one of ${known}; --help says what they do`,
  OPTION_WITHOUT_VALUE: (flag: string) => `${flag} needs a value: write ${flag} VALUE`,
  ARGUMENT_NOT_TAKEN: (command: string, argument: string) =>
    `${command} does not take the argument "${argument}": ${command} --help says what it takes`,
  RIGHT_MISSING: (who: string, right: string, where: string, rule: string) =>
    `${who} may not ${right} ${where}: ask an administrator of the cluster for a role with the rule ${rule}`,
  CREDENTIALS_REFUSED: (why: string) =>
    `the API server does not take your credentials (${why}): log in again, or choose another context with --context`,
  CLUSTER_UNREACHABLE: (why: string) =>
    `the API server does not answer (${why}): check --kubeconfig and --context, and the network between`,
  CLUSTER_REFUSES: (why: string) => `the API server refused the request (${why})`,
  GUARD_TARGETS_MISSING: () =>
    'no pod is named: name pods as NAMESPACE/POD, or as POD with --namespace; --namespace alone selects all its pods',
  GUARD_TARGET_INVALID: (text: string) => `"${text}" does not name a pod: write NAMESPACE/POD, or POD`,
  GUARD_IMAGE_UNKNOWN: (why: string) =>
    `the webhook's Deployment does not name the image to inject (${why}): name it with --image`,
  PORT_FORWARD_FAILED: (pod: string, port: number, why: string) =>
    `no connection to port ${port} of pod ${pod} (${why}): see that the pod runs`,
  WEBHOOK_NOT_READY: () =>
    'no replica of the webhook is Ready in namespace invalid-drop-system: see kubectl get pods -n invalid-drop-system',
  PAGE_TOO_LARGE: (bytes: number) => `the webhook's answer has more than ${bytes} bytes: ask for one namespace with -n`,
  PAGE_UNEXPECTED: (path: string, status: number, text: string) =>
    `the webhook answers ${path} with status ${status} and no report ("${text}"): use the version of this command that is installed in the cluster`,
  COVERAGE_OFF: () => 'coverage is off in this installation: set the webhook option coverage=enabled',
  LOCAL_PORT_TAKEN: (port: number, why: string) =>
    `cannot listen on port ${port} of 127.0.0.1 (${why}): choose another one with --port`,
  SHELL_UNKNOWN: (kind: string, known: string) => `there is no completion for "${kind}": use one of ${known}`,
  EXPLAIN_TARGET: () =>
    'explain needs one pod, or one node: write explain POD, explain NAMESPACE/POD or explain --node NODE',
  EXPLAIN_NOT_POSSIBLE: (pod: string, why: string, node: string) =>
    `${pod} cannot be explained from inside (${why}): watch its node with explain --node ${node || 'NODE'}`,
  EXPLAIN_NO_YAML: () => 'explain prints text or JSON: use -o json in place of yaml',
  EXPLAIN_NOT_STARTED: (what: string, seconds: number, why: string) =>
    `${what} did not start within ${seconds} s (${why}): see kubectl describe pod, and raise --timeout for a slow image pull`,
  EXPLAIN_EXEC: (container: string, namespace: string, why: string) =>
    `no command can be run in container ${container} (${why}): the rule {"apiGroups":[""],"resources":["pods/exec"],"verbs":["get","create"]} in namespace ${namespace} allows it`,
  EXPLAIN_NODE_REFUSED: (namespace: string, why: string) =>
    `namespace ${namespace} does not take a privileged pod (${why}): name one that does with -n`,
  EXPLAIN_LOST: (what: string) => `${what} has gone before it said how it ended: run the command again`,
});
