// The contract between the webhook, which writes Pods, and the programs that run inside them.
// Everything here is public: a user meets these names in kubectl, in Prometheus and in our docs.

/** Release of the programs; the same as in package.json. */
export const VERSION = '0.1.0';

/** Names of the containers that a guarded pod carries: one of them, or both. Never `istio-init`: istio-cni skips pods that have one. */
export const INIT_CONTAINER = 'invalid-drop-init';
export const CHECKER_CONTAINER = 'invalid-drop-checker';

/** Names of the ephemeral containers that `kubectl invalid-drop guard` adds, before `-1`, `-2` and so on: none can be removed. */
export const GUARD_CONTAINER = 'invalid-drop-guard';
export const GUARD_CHECKER_CONTAINER = 'invalid-drop-guard-checker';

/** TCP port of the checker inside the pod, on all addresses, unless the pod has the annotation. */
export const CHECKER_PORT = 15099;
export const CHECKER_PORT_ANNOTATION = 'invalid-drop.io/checker-port';
export const CHECKER_PORT_VARIABLE = 'INVALID_DROP_PORT';

/**
 * Where the bundles are in the image, and the flags of Node that make the checker small (docs/decisions/0009). At
 * SIGUSR1 Node would open its debugger, which hands NET_ADMIN to each process that may send the signal.
 */
export const INSTALL_COMMAND = ['node', '--disable-sigusr1', '/opt/invalid-drop/install.js'];
export const CHECK_COMMAND = [
  ...['node', '--disable-sigusr1', '--v8-pool-size=0', '--optimize-for-size'],
  '/opt/invalid-drop/check.js',
];
/**
 * The one container where the cluster has native sidecars: it installs, and goes on as the checker. It sets the flag of V8 by
 * itself: on the command line it would make Node compile its own modules anew, 18 ms of CPU at each start.
 */
export const SIDECAR_COMMAND = [
  ...['node', '--disable-sigusr1', '--v8-pool-size=0'],
  ...['/opt/invalid-drop/check.js', '--install'],
];
/** A FIFO of the image, to which that container writes once the pod is guarded. */
export const READY_FIFO = '/opt/invalid-drop/ready';
/**
 * Its postStart hook in mode enforce: ends when something can be read from the FIFO, so that no container starts before. With
 * an exit code other than 0 after so many seconds: longer than an install takes that waits for each lock and program as long
 * as the options have it by default.
 */
export const WAIT_COMMAND = ['timeout', '120', 'head', '--bytes=1', READY_FIFO];
/**
 * Of the image of both, which its Containerfile has too: glibc gives memory back that V8 has freed. Without it, it keeps more
 * once a large block was freed.
 */
export const IMAGE_ENVIRONMENT = { MALLOC_TRIM_THRESHOLD_: '131072' };
/** The agent's. Its lists of pods and namespaces are let go of at once: --expose-gc. */
export const AGENT_COMMAND = [
  ...['node', '--disable-sigusr1', '--v8-pool-size=0', '--optimize-for-size', '--expose-gc'],
  '/opt/invalid-drop/agent.js',
];

/** Namespace label that opts in, and the namespace that the webhook itself runs in. */
export const OPT_IN_LABEL = 'invalid-drop.io/inject';
/**
 * Values of the label that opt a namespace in. `pod`: containers in each pod guard it. `node`: the agent of its node
 * does. `enabled`: as the installation is configured (NODE_MODES).
 */
export const OPT_IN_VALUES = ['enabled', 'pod', 'node'] as const;
export const OWN_NAMESPACE = 'invalid-drop-system';
/** Names of the webhook's Service and of its MutatingWebhookConfiguration. */
export const WEBHOOK_SERVICE = 'invalid-drop-webhook';
export const WEBHOOK_CONFIGURATION = 'invalid-drop-injector';

/** What a pod's author may choose, default first. Each option is a pod annotation and an environment variable. */
export const POD_OPTIONS = {
  /** enforce: a failed install stops the pod, an unguarded pod is not Ready. observe: nothing is ever held back. */
  mode: { annotation: 'invalid-drop.io/mode', env: 'INVALID_DROP_MODE', values: ['enforce', 'observe'] },
  /** tcp: only TCP is dropped. all: every protocol, exactly Istio's own iptables rule up to 1.23. */
  protocol: { annotation: 'invalid-drop.io/protocol', env: 'INVALID_DROP_PROTOCOL', values: ['tcp', 'all'] },
  /** What the checker does when the verdict is no longer "dropped". */
  onDrift: { annotation: 'invalid-drop.io/on-drift', env: 'INVALID_DROP_ON_DRIFT', values: ['repair', 'report'] },
  /** Whether the checker makes connections that had stray segments liberal in conntrack, so that they do not hang. */
  rescue: { annotation: 'invalid-drop.io/rescue', env: 'INVALID_DROP_RESCUE', values: ['enabled', 'disabled'] },
} as const;

/**
 * What an installation does with node agents, default first; the webhook and the agents are told the same. disabled: there
 * are none. available: they guard namespaces with the label's value `node`. default: those with `enabled` too.
 */
export const NODE_MODES = ['disabled', 'available', 'default'] as const;
export type NodeMode = (typeof NODE_MODES)[number];
export const NODE_MODE_VARIABLE = 'INVALID_DROP_NODE_MODE';

/** Only where an agent guards the pod: whether conntrack of the pod's namespace is set to be liberal. Default first. */
export const BE_LIBERAL_OPTION = {
  annotation: 'invalid-drop.io/be-liberal',
  env: 'INVALID_DROP_BE_LIBERAL',
  values: ['enabled', 'disabled'],
} as const;
export type BeLiberal = (typeof BE_LIBERAL_OPTION.values)[number];

/** Readiness gate and condition of a pod that the agent of its node guards. */
export const GUARDED_CONDITION = 'invalid-drop.io/guarded';

/** TCP port of the agent's pages, in its own pod. */
export const AGENT_PORT = 8080;

export type Mode = (typeof POD_OPTIONS.mode.values)[number];
export type Protocol = (typeof POD_OPTIONS.protocol.values)[number];
export type OnDrift = (typeof POD_OPTIONS.onDrift.values)[number];
export type Rescue = (typeof POD_OPTIONS.rescue.values)[number];
