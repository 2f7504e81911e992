// Prints an answer with its evidence, for people and for programs.
import { printable } from '../../lib/printable.ts';
import type { Answer } from './answer.ts';
import type { EvidenceSample, NamespaceCounters, RulesetEvidence } from './evidence.ts';
import { portsText, redirectionText } from './redirection.ts';

type Line = [name: string, text: string];

/** The answer and its evidence as lines of text. */
export function answerText({ answer, why, advice }: Answer, before: EvidenceSample, after: EvidenceSample): string {
  const seconds = Math.round((after.at - before.at) / 1000);
  const evidence = [
    ...counterLines(before.counters, after.counters),
    ...ruleLines(before, after),
    ...strayLines(after),
  ];
  return [
    `Was it this? ${answer[0]?.toUpperCase()}${answer.slice(1)}.`,
    ...toBlock([['why', why], ...advice.map((text): Line => ['do', text])]),
    '',
    `Seen in ${seconds} s:`,
    ...toBlock(evidence),
    '',
  ].join('\n');
}

/** The answer and its evidence for JSON. Ports are texts, such as "all but 15020, 15021". */
export function answerData(answer: Answer, before: EvidenceSample, after: EvidenceSample) {
  return {
    ...answer,
    seconds: (after.at - before.at) / 1000,
    before: { at: new Date(before.at).toISOString(), ...before.counters },
    after: { at: new Date(after.at).toISOString(), ...after.counters },
    strays: after.strays,
    rules: 'unreadable' in after.rules ? after.rules : describeRules(after.rules),
  };
}

function describeRules({ mesh, ...rules }: RulesetEvidence) {
  const families = Object.entries(mesh).map(([family, { redirected, excluded, ...rest }]) => [
    family,
    { ...rest, redirected: portsText(redirected), excluded: portsText(excluded) },
  ]);
  return { ...rules, mesh: Object.fromEntries(families) };
}

function counterLines(before: NamespaceCounters, after: NamespaceCounters): Line[] {
  const grew = (name: 'conntrackInvalid' | 'outRsts' | 'estabResets') => growthText(before[name], after[name]);
  const liberal = after.tcpBeLiberal === 1 ? ' (segments outside the window are not INVALID)' : '';
  const entries = after.conntrackEntries ?? 0;
  return [
    ['kernel', after.kernelRelease],
    ['conntrack', after.conntrackEntries === null ? 'not available' : `${entries} connections now`],
    ['tcp_be_liberal', after.tcpBeLiberal === null ? 'not available' : `${after.tcpBeLiberal}${liberal}`],
    ['INVALID packets', grew('conntrackInvalid')],
    ['resets sent', grew('outRsts')],
    ['connections reset', `${grew('estabResets')}, by resets sent or received`],
  ];
}

function ruleLines({ rules: before }: EvidenceSample, { rules }: EvidenceSample): Line[] {
  if ('unreadable' in rules) return [['rules', `cannot be read: ${rules.unreadable}`]];
  const reasons = rules.reasons.length > 0 ? `: ${rules.reasons.join('; ')}` : '';
  const earlier = 'unreadable' in before ? [] : before.invalidRules;
  const drops = rules.invalidRules.map((rule): Line => {
    const same = earlier.find((one) => one.identity === rule.identity);
    const counted = rule.packets === undefined ? 'no packet counter' : growthText(same?.packets ?? 0, rule.packets);
    return ['drop rule', `${rule.owner}: ${rule.table} ${rule.chain}, ${counted}`];
  });
  const meshes = Object.entries(rules.mesh).map(([family, mesh]): Line => [`mesh, ${family}`, redirectionText(mesh)]);
  return [['verdict', `${rules.result}${reasons}`], ...drops, ...meshes];
}

function growthText(before: number | null, after: number | null): string {
  if (before === null || after === null) return 'not known';
  return after < before ? `counter was reset, now ${after}` : `+${after - before} (${after} in all)`;
}

/** Peers that are listed: those with the most stray segments. */
const MAX_PEERS = 5;

function strayLines({ strays: { connections, rescue }, rules }: EvidenceSample): Line[] {
  const own = 'unreadable' in rules || rules.exempt ? 'pass' : 'do not pass, or are not noted';
  const told = rescue ? `${rescue.state}, ${rescue.rescued} rescued, ${rescue.failed} failed` : 'no checker answers';
  const peers = (connections ?? [])
    .toSorted((a, b) => b.segments - a.segments)
    .slice(0, MAX_PEERS)
    .map(({ source, sourcePort, destinationPort, segments }): Line => {
      return [
        'stray segments',
        `${segments} from ${source}:${sourcePort} to port ${destinationPort}, in the last minute`,
      ];
    });
  return [['own sockets', `segments ${own}`], ['rescue', told], ...peers];
}

const WIDTH = 19;

function toBlock(lines: Line[]): string[] {
  return lines.map(([name, text]) => `  ${name.padEnd(WIDTH)}${printable(text)}`);
}
