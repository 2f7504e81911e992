// The options of install and check. Both read them from the environment that the webhook writes into the Pod.
import { CHECKER_PORT, CHECKER_PORT_VARIABLE, POD_OPTIONS } from '../lib/contract.ts';
import type { InstallOptions } from '../lib/netfilter/installer.ts';
import { type OptionValues, oneOf, wholeNumber } from '../lib/options.ts';

const BOTH = {
  mode: oneOf(POD_OPTIONS.mode.values, {
    env: POD_OPTIONS.mode.env,
    default: 'enforce',
    help: 'enforce: an unguarded pod does not start, or does not get Ready. observe: nothing is blocked, everything is reported.',
  }),
  protocol: oneOf(POD_OPTIONS.protocol.values, {
    env: POD_OPTIONS.protocol.env,
    default: 'tcp',
    help: "What the rule covers. all: every protocol, as the rule of Istio's INVALID_DROP up to 1.23.",
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
    help: 'What to do when INVALID packets are no longer dropped.',
  }),
  rescue: oneOf(POD_OPTIONS.rescue.values, {
    env: POD_OPTIONS.rescue.env,
    default: 'enabled',
    help: 'Whether connections that had stray segments are made liberal in conntrack, so that they do not hang.',
  }),
  interval: wholeNumber(1, 3600, {
    env: 'INVALID_DROP_INTERVAL',
    default: 10,
    help: 'Seconds from one check to the next. Three times as many while xtables-monitor runs and iptables-legacy holds no tables: then the kernel reports every change.',
  }),
  port: wholeNumber(1, 65535, {
    env: CHECKER_PORT_VARIABLE,
    default: CHECKER_PORT,
    help: 'TCP port, on all addresses.',
  }),
  seconds: wholeNumber(1, 300, {
    env: 'INVALID_DROP_SECONDS',
    default: 10,
    help: 'How long --explain watches.',
  }),
};

export type CheckValues = OptionValues<typeof CHECK_OPTIONS>;

/** Flags of check that take no value. */
export const CHECK_SWITCHES = ['install', 'once', 'probe', 'explain', 'node', 'json', 'help'] as const;
export const INSTALL_SWITCHES = ['help'] as const;

/** The part of the options that says how to install; seconds become milliseconds. */
export function installOptions(
  values: OptionValues<typeof INSTALL_OPTIONS>,
  environment: NodeJS.ProcessEnv,
): InstallOptions {
  return {
    protocol: values.protocol,
    backend: values.backend,
    lockWait: values['lock-wait'] * 1000,
    commandTimeout: values['command-timeout'] * 1000,
    environment,
  };
}
