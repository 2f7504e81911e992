// "Was it this?": from two samples of a pod's evidence to an answer in words.
import type { NotedConnection } from '../../lib/checker/noted-connections.ts';
import {
  type EvidenceSample,
  mayRedirect,
  type NamespaceCounters,
  type RulesetEvidence,
  redirectionModes,
} from './evidence.ts';

export type AnswerWord = 'prevented' | 'suspected' | 'not this' | 'cannot tell';

export interface Answer {
  answer: AnswerWord;
  /** Stable word for the case. */
  code: string;
  why: string;
  advice: string[];
}

const ADVICE = {
  'nothing-to-do': 'Nothing has to be done for this pod.',
  rescue:
    'Let the checker rescue such connections: remove the annotation invalid-drop.io/rescue: disabled, read its log for rescue-failed, or guard the pod (docs/running-pods.md).',
  guard:
    'Guard the pod without a restart (kubectl invalid-drop guard, docs/running-pods.md), or label its namespace and restart it. If the resets end, INVALID packets were the cause.',
  'other-causes':
    'Look for the usual causes: the application closed first, an idle time-out, a port without a listener (docs/diagnose.md).',
  'watch-node': 'Watch the resets on the node, which shows the cause of each one: --explain --node (docs/diagnose.md).',
  'look-at-peer': 'Run this in the pods that send the resets: those that this pod calls, or those that call it.',
  'run-longer': 'Run it again while resets happen, or for longer: --seconds 300.',
  'grant-net-admin':
    'Run it with CAP_NET_ADMIN and uid 0: kubectl exec in the checker, or kubectl debug --profile=netadmin with our image.',
  'other-nodes':
    'Pods on other nodes may be exposed even if this pod gets no INVALID packets: kube-proxy on this node may drop them before they reach the pod (docs/diagnose.md, who is exposed).',
} as const;
type AdviceName = keyof typeof ADVICE;

/** What grew between two samples. Null is unknown. */
interface Growth {
  invalid: number;
  /** Resets sent. */
  resets: number;
  /** Established connections that ended by a reset, sent or received. */
  estabResets: number | null;
  /** Packets that the deciding rules dropped, as far as they count; null where none does, or the rules changed. */
  dropped: number | null;
  /** The same before the first sample. */
  droppedBefore: number | null;
}

/** What is known where rules and counters could be read. */
interface Known extends Growth {
  /** The worse result of the two samples. */
  result: RulesetEvidence['result'];
  /** The rules of the second sample. */
  rules: RulesetEvidence;
  /** Why packets are not certain to be dropped, from both samples. */
  reasons: string;
  /** Connections whose segments go on being INVALID though INVALID packets are dropped: they hang. */
  hanging: NotedConnection[];
  /** Whether no connection hangs: packets that have a socket of their own pass, and a checker rescues, or conntrack is liberal. */
  rescues: boolean;
  /** Whether nf_conntrack_tcp_be_liberal was 1 in both samples, whoever set it. */
  liberal: boolean;
}

const LIBERAL =
  'nf_conntrack_tcp_be_liberal is 1, so segments out of the window are valid here: this pod is protected from them also without the rule';

interface AnswerCase {
  code: string;
  answer: AnswerWord;
  when(known: Known): boolean;
  why(known: Known): string;
  advice: AdviceName[];
}

/** Codes of answers for want of evidence. */
export const NO_CASES = ['rules-unreadable', 'counters-missing'] as const;

/** The answers from two samples with evidence, in order: the first case that holds is the answer. */
export const CASES: AnswerCase[] = [
  {
    code: 'hanging',
    answer: 'suspected',
    when: ({ result, hanging, dropped }) => result === 'guarded' && hanging.length > 0 && dropped !== 0,
    why: ({ hanging }) =>
      `${count(hanging.length, 'connection has', 'connections have')} only INVALID segments: they are dropped, and nothing arrives any more. ${peersText(hanging)}.`,
    advice: ['rescue', 'run-longer'],
  },
  {
    code: 'dropped-not-rescued',
    answer: 'cannot tell',
    when: ({ result, resets, dropped, droppedBefore, rescues }) =>
      result === 'guarded' && !rescues && ((dropped ?? 0) > 0 || (resets === 0 && (droppedBefore ?? 0) > 0)),
    why: ({ dropped, droppedBefore }) =>
      `${count(dropped || (droppedBefore ?? 0), 'INVALID packet was', 'INVALID packets were')} dropped, which may have prevented resets. But nothing rescues connections whose segments all become INVALID (Linux 5.15.68 and later): they hang.`,
    advice: ['rescue'],
  },
  {
    code: 'dropped',
    answer: 'prevented',
    when: ({ result, dropped }) => result === 'guarded' && (dropped ?? 0) > 0,
    why: ({ dropped, resets }) =>
      `${count(dropped ?? 0, 'INVALID packet was', 'INVALID packets were')} dropped during the watch. Each drop may have prevented a reset.${
        resets > 0 ? ` The ${count(resets, 'reset', 'resets')} sent during the watch had another cause.` : ''
      }`,
    advice: ['nothing-to-do'],
  },
  {
    code: 'guarded-resets',
    answer: 'not this',
    when: ({ result, resets }) => result === 'guarded' && resets > 0,
    why: ({ resets }) =>
      `${count(resets, 'reset was', 'resets were')} sent, and INVALID TCP packets were not the cause: none reaches a socket that is not its own.`,
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'no-resets-sent',
    answer: 'not this',
    when: ({ resets, estabResets }) => resets === 0 && (estabResets ?? 0) > 0,
    why: ({ estabResets }) =>
      `${count(estabResets ?? 0, 'established connection was', 'established connections were')} reset by the peer; this pod sent no reset.`,
    advice: ['look-at-peer'],
  },
  {
    code: 'liberal-without-resets',
    answer: 'not this',
    when: ({ result, liberal, invalid, resets }) => result !== 'guarded' && liberal && invalid > 0 && resets === 0,
    why: ({ invalid }) =>
      `No reset was sent during the watch. ${LIBERAL}. ${count(invalid, 'packet was', 'packets were')} INVALID for another reason: a bad checksum, impossible flags or no connection.`,
    advice: ['run-longer'],
  },
  {
    code: 'invalid-without-resets',
    answer: 'not this',
    when: ({ result, invalid, resets }) => result !== 'guarded' && invalid > 0 && resets === 0,
    why: ({ invalid }) =>
      `${count(invalid, 'packet was', 'packets were')} INVALID, and no reset was sent during the watch.`,
    advice: ['run-longer', 'guard'],
  },
  {
    code: 'dropped-earlier',
    answer: 'prevented',
    when: ({ result, resets, droppedBefore }) => result === 'guarded' && resets === 0 && (droppedBefore ?? 0) > 0,
    why: ({ droppedBefore }) =>
      `Nothing happened during the watch. The rule has dropped ${count(droppedBefore ?? 0, 'INVALID packet', 'INVALID packets')} since it was installed.`,
    advice: ['nothing-to-do'],
  },
  {
    code: 'nothing-happened',
    answer: 'cannot tell',
    when: ({ resets }) => resets === 0,
    why: ({ result, liberal }) =>
      `No reset was sent or received during the watch.${
        result === 'guarded' ? ' While the rule is in place, this pod cannot send a reset of this kind.' : ''
      }${result !== 'guarded' && liberal ? ` ${LIBERAL}.` : ''}`,
    advice: ['run-longer'],
  },
  {
    code: 'resets-without-invalid',
    answer: 'not this',
    when: ({ invalid }) => invalid === 0,
    why: ({ resets, result, liberal }) =>
      `${count(resets, 'reset was', 'resets were')} sent, and no packet in this pod was INVALID.${
        result !== 'guarded' && liberal ? ` ${LIBERAL}.` : ''
      }`,
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'ruleset-not-judged',
    answer: 'cannot tell',
    when: ({ result }) => result === 'cannot tell',
    why: ({ reasons }) =>
      `Packets were INVALID and resets were sent, but it is unknown whether the rules drop INVALID packets: ${reasons}.`,
    advice: ['watch-node'],
  },
  {
    code: 'no-redirect',
    answer: 'not this',
    when: ({ rules }) => redirectionModes(rules).every((mode) => mode === 'none'),
    why: () => 'No rule redirects inbound connections, so a stray segment finds its own connection.',
    advice: ['other-causes', 'watch-node'],
  },
  {
    code: 'redirect-not-known',
    answer: 'cannot tell',
    when: ({ rules }) => !mayRedirect(rules) && redirectionModes(rules).includes('unknown'),
    why: () =>
      'Packets were INVALID and resets were sent, but it is unknown whether the rules redirect inbound connections.',
    advice: ['watch-node'],
  },
  {
    code: 'tproxy',
    answer: 'cannot tell',
    when: ({ rules }) => !mayRedirect(rules),
    why: () =>
      'Packets were INVALID and resets were sent. But TPROXY redirects without NAT, so a stray segment finds its own connection and causes no reset.',
    advice: ['watch-node', 'guard'],
  },
  {
    code: 'liberal-conntrack',
    answer: 'cannot tell',
    when: ({ liberal }) => liberal,
    why: ({ invalid, resets }) =>
      `${count(resets, 'reset was', 'resets were')} sent. ${LIBERAL}. But ${count(invalid, 'packet was', 'packets were')} INVALID for another reason: a bad checksum, impossible flags or no connection. A packet without a connection can be reset as well.`,
    advice: ['watch-node', 'guard'],
  },
  {
    code: 'invalid-and-resets',
    answer: 'suspected',
    when: () => true,
    why: ({ invalid, resets, reasons }) =>
      `${count(invalid, 'packet was', 'packets were')} INVALID and ${count(resets, 'reset was', 'resets were')} sent, and not all INVALID packets are dropped: ${reasons}.${
        resets > invalid ? ` At most ${invalid} of the resets can be of this kind.` : ''
      }`,
    advice: ['guard', 'watch-node'],
  },
];

/** Answers from two samples of one network namespace. Evidence that could not be read makes "cannot tell". */
export function answer(before: EvidenceSample, after: EvidenceSample): Answer {
  const { rules } = after;
  if ('unreadable' in before.rules || 'unreadable' in rules) {
    const reason = [before.rules, rules].flatMap((one) => ('unreadable' in one ? one.unreadable : []))[0];
    return cannotTell('rules-unreadable', `The rules cannot be read: ${reason}.`, ['grant-net-admin']);
  }
  const growth = growthOf(before, after);
  if (typeof growth === 'string') return cannotTell('counters-missing', growth, ['watch-node']);
  const result = worst(before.rules.result, rules.result);
  const reasons = [...new Set([...before.rules.reasons, ...rules.reasons])].join('; ');
  const rescue = after.strays.rescue;
  const liberal = [before, after].every(({ counters }) => counters.tcpBeLiberal === 1);
  const isRescued = before.rules.exempt && rules.exempt && rescue?.state === 'enabled' && !rescueFails(before, after);
  const hanging = findHanging(before, after, isRescued);
  const known: Known = { ...growth, result, rules, reasons, hanging, rescues: isRescued || liberal, liberal };
  const found = CASES.find(({ when }) => when(known));
  if (!found) throw new TypeError('the last case always holds');
  return { answer: found.answer, code: found.code, why: found.why(known), advice: adviceTexts(found.advice) };
}

function rescueFails(before: EvidenceSample, after: EvidenceSample): boolean {
  return (after.strays.rescue?.failed ?? 0) > (before.strays.rescue?.failed ?? 0);
}

/**
 * Connections that went on having stray segments during the watch. Where a checker rescues, it tells whether any did
 * after it was made liberal: before that some may have come.
 */
function findHanging({ strays: before }: EvidenceSample, { strays: after }: EvidenceSample, rescues: boolean) {
  if (rescues && after.rescue?.persistent === 0) return [];
  const earlier = new Map((before.connections ?? []).map((one) => [connectionText(one), one.segments]));
  return (after.connections ?? []).filter((one) => {
    const known = earlier.get(connectionText(one));
    return known !== undefined && one.segments > known + 1;
  });
}

/** Peers that are named in an answer. */
const MAX_NAMED = 3;

function connectionText({ source, sourcePort, destination, destinationPort }: NotedConnection): string {
  return `${source}:${sourcePort} to ${destination}:${destinationPort}`;
}

function peersText(connections: NotedConnection[]): string {
  const named = connections.slice(0, MAX_NAMED).map(connectionText);
  const more = connections.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}

function worst(...results: RulesetEvidence['result'][]): RulesetEvidence['result'] {
  const order: RulesetEvidence['result'][] = ['not guarded', 'cannot tell', 'guarded'];
  return order.find((one) => results.includes(one)) ?? 'cannot tell';
}

function cannotTell(code: (typeof NO_CASES)[number], why: string, advice: AdviceName[]): Answer {
  return { answer: 'cannot tell', code, why, advice: adviceTexts(advice) };
}

function adviceTexts(names: AdviceName[]): string[] {
  return [...names.map((name) => ADVICE[name]), ADVICE['other-nodes']];
}

/** What grew, or the sentence that says why that is unknown. */
function growthOf(before: EvidenceSample, after: EvidenceSample): Growth | string {
  const grew = (name: keyof NamespaceCounters) => difference(before.counters[name], after.counters[name]);
  const resets = grew('outRsts');
  if (resets === undefined) {
    return 'No count of sent resets: /proc/net/snmp cannot be read, or its counters were reset.';
  }
  const invalid = before.counters.conntrackInvalid === null ? 0 : grew('conntrackInvalid');
  if (invalid === undefined || (invalid === 0 && !canTrustZero(after))) {
    return 'No count of INVALID packets: /proc/net/stat/nf_conntrack cannot be read, or its counters were reset.';
  }
  const [first, last] = [before.rules, after.rules].map((rules) => ('unreadable' in rules ? null : rules.dropped));
  return {
    invalid,
    resets,
    estabResets: grew('estabResets') ?? null,
    dropped: difference(first ?? null, last ?? null) ?? null,
    droppedBefore: first ?? null,
  };
}

/** Zero INVALID packets may mean that conntrack has no counter. That makes no difference where no rule redirects. */
function canTrustZero({ counters, rules }: EvidenceSample): boolean {
  if (counters.conntrackInvalid !== null) return true;
  return !('unreadable' in rules) && redirectionModes(rules).every((mode) => mode === 'none');
}

function difference(before: unknown, after: unknown): number | undefined {
  if (typeof before !== 'number' || typeof after !== 'number' || after < before) return undefined;
  return after - before;
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
