// The options of `webhook.js guard`, and the pods that its arguments name.
import { parseArgs } from 'node:util';
import { duration, type OptionValues, readOptions, textLike, wholeNumber } from '../../lib/options.ts';
import { errors } from '../webhook-errors.ts';
import { OPTIONS } from '../webhook-options.ts';
import type { GuardTarget } from './guard-outcomes.ts';

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/;

export const GUARD_OPTIONS = {
  namespace: textLike(NAMESPACE, 'the name of a namespace', {
    env: 'INVALID_DROP_GUARD_NAMESPACE',
    help: 'Namespace of pods named as POD. If no pod is named: all pods of the namespace.',
    default: '',
  }),
  kubeconfig: textLike(/^[^\0]*$/, 'a path, in-cluster, or nothing', {
    env: 'KUBECONFIG',
    help: 'Kubeconfig file with cluster and credentials. Empty: ~/.kube/config.',
    default: '',
  }),
  context: textLike(/^[^\0]*$/, 'the name of a context, or nothing', {
    env: 'INVALID_DROP_GUARD_CONTEXT',
    help: 'Context of the kubeconfig. Empty: its current one.',
    default: '',
  }),
  image: {
    ...textLike(/^$/, `${OPTIONS.image.allowed}, or nothing`, {
      env: 'INVALID_DROP_IMAGE',
      help: "Image of the container. Empty: the one that the cluster's webhook injects.",
      default: '',
    }),
    parse: (text: string) => (text === '' ? '' : OPTIONS.image.parse(text)),
  },
  concurrency: wholeNumber(1, 100, {
    env: 'INVALID_DROP_GUARD_CONCURRENCY',
    help: 'How many pods to guard at the same time.',
    default: 5,
  }),
  'max-failures': wholeNumber(1, 100_000, {
    env: 'INVALID_DROP_GUARD_MAX_FAILURES',
    help: 'After this many failed pods, start no more.',
    default: 5,
  }),
  timeout: duration({
    env: 'INVALID_DROP_GUARD_TIMEOUT',
    help: 'Time limit for each container, including the image pull.',
    default: '60s',
  }),
};

const GUARD_SWITCHES = ['dry-run', 'stay', 'help'] as const;

export interface GuardArguments {
  values: OptionValues<typeof GUARD_OPTIONS>;
  given: Set<(typeof GUARD_SWITCHES)[number]>;
  /** As they are written. */
  pods: string[];
}

/**
 * @param argv arguments after `guard`
 * @throws CodedError OPTION_INVALID or OPTION_UNKNOWN
 */
export function readGuardArguments(argv: string[], env: Record<string, string | undefined>): GuardArguments {
  const flags = Object.keys(GUARD_OPTIONS).map((name) => [name, { type: 'string' as const }]);
  const switches = GUARD_SWITCHES.map((name) => [name, { type: 'boolean' as const }]);
  const options = Object.fromEntries([...flags, ...switches]);
  const { tokens } = parseArgs({ args: argv, options, strict: false, tokens: true });
  const positionals = new Set(tokens.filter(({ kind }) => kind === 'positional').map(({ index }) => index));
  const rest = argv.filter((_, index) => !positionals.has(index));
  const pods = argv.filter((_, index) => positionals.has(index));
  return { ...readOptions(GUARD_OPTIONS, rest, env, GUARD_SWITCHES), pods };
}

/**
 * The pods that are named, each once.
 * @param pods POD or NAMESPACE/POD each
 * @param namespace of those without one; '' where there is none
 * @throws CodedError GUARD_TARGETS_MISSING, GUARD_TARGET_INVALID
 */
export function namedTargets(pods: string[], namespace: string): GuardTarget[] {
  if (pods.length === 0 && namespace === '') throw errors.GUARD_TARGETS_MISSING();
  const targets = pods.map((text): GuardTarget => {
    const parts = text.split('/');
    const [own, pod] = parts.length === 1 ? [namespace, parts[0]] : parts;
    const fits = parts.length <= 2 && own && NAMESPACE.test(own) && pod && NAME.test(pod);
    if (!fits) throw errors.GUARD_TARGET_INVALID(text.slice(0, 100));
    return { namespace: own, pod };
  });
  return [...new Map(targets.map((target) => [`${target.namespace}/${target.pod}`, target])).values()];
}
