// What --explain prints, made by the program from evidence as the kernel tests see it.
import { answer } from '../../init-image/explain/answer.ts';
import { answerText } from '../../init-image/explain/answer-text.ts';
import { makeSummary, resetText, summaryText } from '../../init-image/explain/node/reset-report.ts';
import type { ClassifiedReset } from '../../lib/resets/classified-reset.ts';
import type { NodeNamespace } from '../../lib/resets/node-namespaces.ts';
import { resetKindOf } from '../../lib/resets/reset-kind.ts';
import { originOf } from '../../lib/resets/reset-origin.ts';
import type { Reset } from '../../lib/resets/trace-line.ts';
import { redirectRules } from '../../test/harness/netns/istio-rules.ts';
import { asSaved, rulesOf, samples } from '../../test/init-image/explain/made-evidence.ts';
import { namespace, noSocket, reset } from '../../test/lib/resets/made-resets.ts';

function block(text: string): string {
  return ['```', text.trimEnd(), '```'].join('\n');
}

/** A pod with a mesh and without the rule, to which files are uploaded. */
export function explainExample(): string {
  const pair = samples({ conntrackInvalid: 20, outRsts: 3, estabResets: 3 }, rulesOf(asSaved(redirectRules('ipv4'))));
  return block(answerText(answer(...pair), ...pair));
}

const STORE = namespace();
const API = namespace({
  ...{ id: 'net:[2]', label: 'shop/api-5f6d (10.0.0.9)', addresses: ['10.0.0.9'], invalidGrew: 0 },
  listeners: [{ address: '::', port: 8080 }],
});

function classified(one: Reset, namespaces: NodeNamespace[]): ClassifiedReset {
  const origin = originOf(one, namespaces, undefined);
  return { reset: one, origin, kind: resetKindOf(one, origin.candidates) };
}

/** A node with two pods: one has the bug, the other an application that closes early. */
export function nodeExample(): string {
  const early = { ...noSocket('10.0.0.9', 8080), state: 'TCP_CLOSE', reason: 'TCP_ABORT_ON_CLOSE' };
  const summary = makeSummary();
  const lines = [reset(), early, reset()].map((one, i) => {
    const found = classified(one, [STORE, API]);
    summary.add(found);
    return resetText(found, new Date(Date.UTC(2026, 0, 1, 12, 0, 1 + 7 * i, 38 * i + 4)));
  });
  return block([...lines, summaryText(summary.rows(), 60, 0)].join('\n'));
}
