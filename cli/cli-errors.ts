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
});
