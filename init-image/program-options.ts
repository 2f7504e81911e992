// The options of install and check. Both read them from the environment that the webhook writes into the Pod.
import { CHECKER_PORT, POD_OPTIONS } from '../lib/contract.ts';
import { oneOf, wholeNumber } from '../lib/options.ts';

const BOTH = {
  mode: oneOf(POD_OPTIONS.mode.values, {
    env: POD_OPTIONS.mode.env,
    default: 'enforce',
    help: 'enforce: a pod that is not guarded is held back. observe: nothing is ever held back, all is reported.',
  }),
  protocol: oneOf(POD_OPTIONS.protocol.values, {
    env: POD_OPTIONS.protocol.env,
    default: 'tcp',
    help: "What the rule covers. all is the rule of Istio's INVALID_DROP up to 1.23, to the letter.",
  }),
  backend: oneOf(['auto', 'nft', 'legacy'], {
    env: 'INVALID_DROP_BACKEND',
    default: 'auto',
    help: 'Which iptables writes the rule. auto chooses as istio-iptables does: legacy where it holds tables, else nft.',
  }),
  'lock-wait': wholeNumber(1, 300, {
    env: 'INVALID_DROP_LOCK_WAIT',
    default: 30,
    help: 'Seconds to wait for the xtables lock.',
  }),
  'command-timeout': wholeNumber(1, 300, {
    env: 'INVALID_DROP_COMMAND_TIMEOUT',
    default: 10,
    help: 'Seconds until iptables or nft is killed.',
  }),
};

export const INSTALL_OPTIONS = BOTH;

export const CHECK_OPTIONS = {
  ...BOTH,
  'on-drift': oneOf(POD_OPTIONS.onDrift.values, {
    env: POD_OPTIONS.onDrift.env,
    default: 'repair',
    help: 'What to do when an INVALID packet would no longer be dropped.',
  }),
  interval: wholeNumber(1, 3600, {
    env: 'INVALID_DROP_INTERVAL',
    default: 10,
    help: 'Seconds from one look to the next where the kernel reports no change.',
  }),
  port: wholeNumber(1, 65535, {
    env: 'INVALID_DROP_PORT',
    default: CHECKER_PORT,
    help: 'TCP port, on all addresses.',
  }),
  seconds: wholeNumber(1, 300, {
    env: 'INVALID_DROP_SECONDS',
    default: 10,
    help: 'How long --explain watches.',
  }),
};

/** Flags of check that take no value. */
export const CHECK_SWITCHES = ['once', 'probe', 'explain', 'node', 'json', 'help'] as const;
export const INSTALL_SWITCHES = ['help'] as const;
