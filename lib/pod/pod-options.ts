// The options of a pod: annotations, and their precedence over the configuration. For the webhook, which refuses wrong
// values, and for the agent, which guards pods that run already.
import {
  BE_LIBERAL_OPTION,
  type BeLiberal,
  CHECKER_PORT,
  CHECKER_PORT_ANNOTATION,
  type Mode,
  type OnDrift,
  OPT_IN_LABEL,
  POD_OPTIONS,
  type Protocol,
  type Rescue,
} from '../contract.ts';
import { errors } from '../errors.ts';
import { shortText } from '../json.ts';
import { wholeNumber } from '../options.ts';
import type { PodView } from './pod-view.ts';

export const SWITCH = ['enabled', 'disabled'] as const;
export type Switch = (typeof SWITCH)[number];
const CHECKER_ANNOTATION = 'invalid-drop.io/checker';

/** Lower ports take a capability that the checker does not have. */
export const CHECKER_PORT_OPTION = wholeNumber(1024, 65535, {
  env: 'INVALID_DROP_CHECKER_PORT',
  help: 'For pods without the annotation. TCP port of the checker in the pod.',
  default: CHECKER_PORT,
});

/** Options that count whatever guards the pod. */
interface CommonOptions {
  mode: Mode;
  protocol: Protocol;
  onDrift: OnDrift;
  rescue: Rescue;
}

/** Options of a pod that containers of its own guard. */
export interface PodOptions extends CommonOptions {
  /** disabled: an init container only, which installs the rule. */
  checker: Switch;
  /** TCP port of the checker. */
  port: number;
}

/** Options of a pod that the agent of its node guards. */
export interface AgentPodOptions extends CommonOptions {
  beLiberal: BeLiberal;
}

/**
 * The options that count for a pod. Precedence, decided here and nowhere else: pod annotation, then the configuration
 * (whose own default is the first of the allowed values). Every annotation is validated, also one that does not count for
 * what guards the pod: its namespace may be switched at any time.
 * @param configured the configuration of the webhook or of the agent; its keys are the options that count
 * @returns the options, and a message for each annotation or label whose value is not allowed (empty: all are). The
 *   configuration counts where an annotation is wrong
 */
export function readPodOptions<T extends PodOptions | AgentPodOptions>(
  pod: PodView,
  configured: T,
): { options: T; wrong: string[] } {
  const { annotated, wrong } = readAnnotations(pod);
  const entries = Object.entries(configured).map(([name, value]) => [
    name,
    annotated[name as keyof typeof annotated] ?? value,
  ]);
  return { options: Object.fromEntries(entries) as T, wrong };
}

/** @returns the option of each annotation with an allowed value, and a message for each other one */
function readAnnotations(pod: PodView) {
  const wrong: string[] = [];
  const check = <const V extends string>(
    kind: string,
    name: string,
    text: string | undefined,
    values: readonly V[],
  ) => {
    if (text === undefined) return undefined;
    const value = values.find((allowed) => allowed === text);
    if (value === undefined) {
      wrong.push(errors.ANNOTATION_INVALID(kind, name, shortText(text, 100), values.join(' or ')).message);
    }
    return value;
  };
  const annotation = <const V extends string>(name: string, values: readonly V[]) =>
    check('annotation', name, pod.annotations?.[name], values);

  annotation(OPT_IN_LABEL, SWITCH);
  check('label', OPT_IN_LABEL, pod.labels[OPT_IN_LABEL], SWITCH);
  const { mode, protocol, onDrift, rescue } = POD_OPTIONS;
  const annotated = {
    mode: annotation(mode.annotation, mode.values),
    protocol: annotation(protocol.annotation, protocol.values),
    onDrift: annotation(onDrift.annotation, onDrift.values),
    rescue: annotation(rescue.annotation, rescue.values),
    beLiberal: annotation(BE_LIBERAL_OPTION.annotation, BE_LIBERAL_OPTION.values),
    checker: annotation(CHECKER_ANNOTATION, SWITCH),
    port: portOf(pod.annotations?.[CHECKER_PORT_ANNOTATION], wrong),
  };
  return { annotated, wrong };
}

function portOf(text: string | undefined, wrong: string[]): number | undefined {
  if (text === undefined) return undefined;
  const { parse, allowed } = CHECKER_PORT_OPTION;
  const port = parse(text);
  if (port === undefined) {
    wrong.push(errors.ANNOTATION_INVALID('annotation', CHECKER_PORT_ANNOTATION, shortText(text, 100), allowed).message);
  }
  return port;
}
