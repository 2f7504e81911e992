// `kubectl invalid-drop explain`: was it this? Asks a pod, or watches a node.
import { duration, durationMs, textLike, wholeNumber } from '../../lib/options.ts';
import { defineCommand } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import { readSettings } from '../guard/deployed-settings.ts';
import { GUARD_OPTIONS, namedPods, targetsOf } from '../guard/guard-options.ts';
import { explainNode } from './explain-node.ts';
import { explainPod } from './explain-pod.ts';
import { makeRelay } from './relay-output.ts';

const NODE = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$/;

export const explainCommandDefinition = defineCommand({
  name: 'explain',
  summary: 'says whether the resets of a pod, or of all pods of a node, are this bug',
  usage: `Usage: kubectl invalid-drop explain POD [-n NAMESPACE] [--seconds N] [-o json]
       kubectl invalid-drop explain --node NODE [-n NAMESPACE] [--seconds N] [-o json]

Run it while resets happen. It changes no rule. A pod with a checker is asked there. Any other pod gets an ephemeral container, which
ends by itself and which Kubernetes cannot remove. With --node a privileged pod watches each reset of the node, and is deleted at
the end, also after Ctrl-C.
Exit 0: prevented, or not this bug. 1: suspected; with --node: resets of this bug were seen. 2: it cannot tell, or cannot be asked.`,
  options: {
    node: textLike(NODE, 'the name of a node, or nothing', {
      env: 'INVALID_DROP_EXPLAIN_NODE',
      help: 'Node to watch, in place of a pod.',
      default: '',
    }),
    seconds: wholeNumber(1, 300, {
      env: 'INVALID_DROP_EXPLAIN_SECONDS',
      help: 'How long to watch.',
      default: 10,
    }),
    image: GUARD_OPTIONS.image,
    timeout: duration({
      env: 'INVALID_DROP_EXPLAIN_TIMEOUT',
      help: 'Time limit for the start of the container, including the image pull.',
      default: '60s',
    }),
  },
  switches: {},
  positionals: 1,
  async run({ values, positionals }, { connect, print, note, stop }) {
    const [named] = positionals;
    if ((named === undefined) === (values.node === '')) throw errors.EXPLAIN_TARGET();
    if (values.output === 'yaml') throw errors.EXPLAIN_NO_YAML();
    const pods = namedPods(positionals);
    const client = await connect();
    const relay = makeRelay(print, note);
    const json = values.output === 'json';
    const { seconds, image } = values;
    const common = { client, seconds, json, startSeconds: durationMs(values.timeout) / 1000, relay, note, stop };
    if (named === undefined) {
      const settings = await readSettings(client, image, note);
      return explainNode({ ...common, node: values.node, namespace: values.namespace, image: settings.image });
    }
    const [target] = targetsOf(pods, values.namespace || client.namespace);
    if (target === undefined) throw errors.EXPLAIN_TARGET();
    return explainPod({ ...common, ...target, image });
  },
});
