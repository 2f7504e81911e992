// The options of `kubectl invalid-drop guard`, and the pods that its arguments name.
import { duration, textLike, wholeNumber } from '../../lib/options.ts';
import { OPTIONS } from '../../webhook/webhook-options.ts';
import { errors } from '../cli-errors.ts';
import type { GuardTarget } from './guard-outcomes.ts';

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export const GUARD_OPTIONS = {
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

export const GUARD_SWITCHES = {
  'dry-run': 'Change nothing: ask the API server whether it would accept the container.',
  stay: 'Leave a checker in each pod, in a second container.',
};

/** A pod as an argument names it; without a namespace it is in that of the command. */
export interface NamedPod {
  namespace: string | undefined;
  pod: string;
}

/**
 * @param pods POD or NAMESPACE/POD each
 * @throws CodedError GUARD_TARGET_INVALID
 */
export function namedPods(pods: string[]): NamedPod[] {
  return pods.map((text) => {
    const parts = text.split('/');
    const [namespace, pod] = parts.length === 1 ? [undefined, parts[0]] : parts;
    const fits = parts.length <= 2 && (namespace === undefined || NAMESPACE.test(namespace)) && pod && NAME.test(pod);
    if (!fits) throw errors.GUARD_TARGET_INVALID(text.slice(0, 100));
    return { namespace, pod };
  });
}

/** The pods that are named, each once. @param namespace of those without one */
export function targetsOf(named: NamedPod[], namespace: string): GuardTarget[] {
  const targets = named.map((one): GuardTarget => ({ ...one, namespace: one.namespace ?? namespace }));
  return [...new Map(targets.map((target) => [`${target.namespace}/${target.pod}`, target])).values()];
}
