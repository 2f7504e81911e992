// What each command takes, as kubectl has it: --kubeconfig, --context, -n, -A, -o and --help.
import { type OptionTable, type OptionValues, oneOf, textLike } from '../lib/options.ts';

/** How a result is printed. wide: the table with more columns. */
export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

const NAMESPACE = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/;

export const COMMON_OPTIONS = {
  kubeconfig: textLike(/^[^\0]*$/, 'paths, in-cluster, or nothing', {
    env: 'KUBECONFIG',
    help: "Kubeconfig file with cluster and credentials; several with the system's delimiter between are merged, the first wins. Empty: ~/.kube/config.",
    default: '',
  }),
  context: textLike(/^[^\0]*$/, 'the name of a context, or nothing', {
    env: 'INVALID_DROP_CONTEXT',
    help: 'Context of the kubeconfig. Empty: its current one.',
    default: '',
  }),
  namespace: textLike(NAMESPACE, 'the name of a namespace', {
    env: 'INVALID_DROP_NAMESPACE',
    help: 'Namespace; -n for short.',
    default: '',
  }),
  output: oneOf(OUTPUT_FORMATS, {
    env: 'INVALID_DROP_OUTPUT',
    help: 'How to print the result; -o for short.',
    default: OUTPUT_FORMATS[0],
  }),
} satisfies OptionTable;
export type CommonValues = OptionValues<typeof COMMON_OPTIONS>;

export const COMMON_SWITCHES = ['all-namespaces', 'help'] as const;
export type CommonSwitch = (typeof COMMON_SWITCHES)[number];

/** Letters that stand for flags, as in kubectl. */
export const SHORT_FLAGS: Record<string, string> = { n: 'namespace', A: 'all-namespaces', o: 'output', h: 'help' };
