// The options of the node agent: flags, environment variables, defaults.
import { AGENT_PORT, BE_LIBERAL_OPTION, NODE_MODE_VARIABLE, POD_OPTIONS } from '../lib/contract.ts';
import { oneOf, textLike, wholeNumber } from '../lib/options.ts';

const FOLDER = /^\/[^\0]*$/;

export const AGENT_OPTIONS = {
  'node-name': textLike(/^[a-z0-9.-]{1,253}$/, 'the name of a Node', {
    env: 'INVALID_DROP_NODE_NAME',
    default: 'localhost',
    help: 'The node that this agent runs on. It guards the pods of this node only.',
  }),
  'node-mode': oneOf(['available', 'default'], {
    env: NODE_MODE_VARIABLE,
    default: 'available',
    help: 'Which namespaces agents guard. available: those with the label value node. default: those with enabled, too.',
  }),
  'service-account': textLike(FOLDER, 'an absolute path', {
    env: 'INVALID_DROP_SERVICE_ACCOUNT',
    default: '/var/run/secrets/kubernetes.io/serviceaccount',
    help: 'The folder of token and ca.crt, with which the agent asks the API server.',
  }),
  mode: oneOf(POD_OPTIONS.mode.values, {
    env: POD_OPTIONS.mode.env,
    default: 'enforce',
    help: 'For pods without the annotation: as the option of the webhook.',
  }),
  protocol: oneOf(POD_OPTIONS.protocol.values, {
    env: POD_OPTIONS.protocol.env,
    default: 'tcp',
    help: 'For pods without the annotation: as the option of the webhook.',
  }),
  'on-drift': oneOf(POD_OPTIONS.onDrift.values, {
    env: POD_OPTIONS.onDrift.env,
    default: 'repair',
    help: 'For pods without the annotation: as the option of the webhook.',
  }),
  rescue: oneOf(POD_OPTIONS.rescue.values, {
    env: POD_OPTIONS.rescue.env,
    default: 'enabled',
    help: 'For pods without the annotation: as the option of the webhook. Rescues where conntrack is not liberal.',
  }),
  'be-liberal': oneOf(BE_LIBERAL_OPTION.values, {
    env: BE_LIBERAL_OPTION.env,
    default: 'enabled',
    help: 'For pods without the annotation. Whether nf_conntrack_tcp_be_liberal is set in the namespace of each pod.',
  }),
  resets: oneOf(['disabled', 'enabled'], {
    env: 'INVALID_DROP_RESETS',
    default: 'disabled',
    help: "Whether every reset of the node's pods is counted, with its cause. Needs tracefs.",
  }),
  'cni-cache': textLike(FOLDER, 'an absolute path', {
    env: 'INVALID_DROP_CNI_CACHE',
    default: '/host/var/lib/cni/results',
    help: "The CNI library's result cache of the node.",
  }),
  'netns-folder': textLike(FOLDER, 'an absolute path', {
    env: 'INVALID_DROP_NETNS_FOLDER',
    default: '/host/run/netns',
    help: "The folder of the node's named network namespaces.",
  }),
  'proc-sys-net': textLike(FOLDER, 'an absolute path', {
    env: 'INVALID_DROP_PROC_SYS_NET',
    default: '/host/proc/sys/net',
    help: "The node's /proc/sys/net, writable.",
  }),
  interval: wholeNumber(1, 3600, {
    env: 'INVALID_DROP_INTERVAL',
    default: 10,
    help: 'Seconds from one check of a pod to the next where iptables-legacy holds tables, which report no changes.',
  }),
  'command-timeout': wholeNumber(1, 300, {
    env: 'INVALID_DROP_COMMAND_TIMEOUT',
    default: 10,
    help: 'Seconds until iptables or nft is killed.',
  }),
  port: wholeNumber(1024, 65535, {
    env: 'INVALID_DROP_AGENT_PORT',
    default: AGENT_PORT,
    help: 'TCP port of the pages, on all addresses.',
  }),
};

export const AGENT_SWITCHES = ['help'] as const;

/** Of the command that asks a running agent. */
export const SELFCHECK_OPTIONS = {
  port: AGENT_OPTIONS.port,
  pod: textLike(/^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/, 'NAMESPACE/NAME', {
    env: 'INVALID_DROP_SELFCHECK_POD',
    default: '',
    help: 'One pod in full, as JSON. Without it, a table of all pods.',
  }),
};
