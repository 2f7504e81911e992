// The options of a pod: annotations, and their precedence over the configuration.
import {
  CHECKER_PORT,
  CHECKER_PORT_ANNOTATION,
  type Mode,
  type OnDrift,
  OPT_IN_LABEL,
  POD_OPTIONS,
  type Protocol,
  type Rescue,
} from '../../lib/contract.ts';
import { shortText } from '../../lib/json.ts';
import { wholeNumber } from '../../lib/options.ts';
import type { PodView } from '../../lib/pod/pod-view.ts';
import { errors } from '../webhook-errors.ts';

export const SWITCH = ['enabled', 'disabled'] as const;
export type Switch = (typeof SWITCH)[number];
const CHECKER_ANNOTATION = 'invalid-drop.io/checker';

/** Lower ports take a capability that the checker does not have. */
export const CHECKER_PORT_OPTION = wholeNumber(1024, 65535, {
  env: 'INVALID_DROP_CHECKER_PORT',
  help: 'For pods without the annotation. TCP port of the checker in the pod.',
  default: CHECKER_PORT,
});

export interface PodOptions {
  mode: Mode;
  protocol: Protocol;
  onDrift: OnDrift;
  rescue: Rescue;
  /** disabled: the init container only. */
  checker: Switch;
  /** TCP port of the checker. */
  port: number;
}

/**
 * The options that count for a pod. Precedence, decided here and nowhere else: pod annotation, then the webhook's
 * configuration (whose own default is the first of the allowed values).
 * @param configured the webhook's configuration
 * @returns the options, and a message for each annotation or label whose value is not allowed (empty: all are)
 */
export function readPodOptions(pod: PodView, configured: PodOptions): { options: PodOptions; wrong: string[] } {
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
  const options = {
    mode: annotation(mode.annotation, mode.values) ?? configured.mode,
    protocol: annotation(protocol.annotation, protocol.values) ?? configured.protocol,
    onDrift: annotation(onDrift.annotation, onDrift.values) ?? configured.onDrift,
    rescue: annotation(rescue.annotation, rescue.values) ?? configured.rescue,
    checker: annotation(CHECKER_ANNOTATION, SWITCH) ?? configured.checker,
    port: portOf(pod.annotations?.[CHECKER_PORT_ANNOTATION], wrong) ?? configured.port,
  };
  return { options, wrong };
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
