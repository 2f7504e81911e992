// The whole page from its facts. Pure.
import { COVERAGE_REASONS, type CoverageReason } from '../coverage/coverage-reasons.ts';
import type { CoverageReport } from '../coverage/coverage-report.ts';
import {
  inListOrder,
  type ListedPod,
  namespacesSection,
  podsSection,
  reasonsSection,
  refusedSection,
} from './coverage-sections.ts';
import { certificatesSection, selfcheckSection } from './health-sections.ts';
import { type Content, type Html, html, raw } from './html.ts';
import { addressOf, moment, section } from './page-parts.ts';
import { amount, podTotals, type StatusFacts, spanText, summaryOf } from './status-facts.ts';
import { STYLE } from './status-style.ts';
import { peersSection, trafficSection } from './traffic-sections.ts';

/** What of the page is asked for. */
export interface StatusView {
  namespace: string;
  reason: CoverageReason | '';
  page: number;
}

/** Where names come from, for who may not see them. */
const FORWARD = 'kubectl port-forward -n invalid-drop-system deploy/invalid-drop-webhook 8080';
const NAMES_NOTE = html`<p class="note">Names of pods and of workloads are only for who asks from the webhook's own pod: <code>${FORWARD}</code>, then <code>http://127.0.0.1:8080/</code></p>`;

/** The first page: everything, in numbers. @param named whether who asks may see names of pods */
export function overviewDocument(facts: StatusFacts, page: number, named: boolean): string {
  const { selfcheck, coverage, certificates, traffic, now } = facts;
  const { level, headline, detail } = summaryOf(facts);
  const summary = html`<section class="verdict ${level}" aria-labelledby="summary"><h1 id="summary">${headline}</h1><p>${detail}</p></section>
${coverage && tiles(coverage)}`;
  return documentOf(headline, facts, [
    summary,
    coverage
      ? coverageParts(coverage, page, named)
      : section(
          'reasons',
          'Pods',
          html`<p>Coverage is off: it needs a cluster, and the option <code>--coverage enabled</code>.</p>`,
        ),
    trafficSection(traffic, now),
    traffic && peersSection(traffic.peers, named),
    selfcheckSection(selfcheck, now),
    certificatesSection(certificates, now),
  ]);
}

function coverageParts(coverage: CoverageReport, page: number, named: boolean): Content {
  const { synced, reasons, refused, refusedMore } = coverage;
  return [
    synced ? undefined : html`<p class="note">Not all pods have been listed yet: the numbers are incomplete.</p>`,
    reasonsSection(reasons, named),
    named ? undefined : NAMES_NOTE,
    refusedSection(refused, refusedMore),
    namespacesSection(coverage, page),
  ];
}

function tiles({ reasons, namespaces }: CoverageReport): Html {
  const { total, guarded, open, aside } = podTotals(reasons);
  const tile = (term: string, value: string, small: string) =>
    html`<div><dt>${term}</dt><dd>${value}<small>${small}</small></dd></div>\n`;
  return html`<dl class="tiles">
${tile('Guarded', amount(guarded), `of ${amount(total)} pods`)}${tile('Need attention', amount(open), open === 0 ? 'no pod' : 'see the reasons')}${tile('Nothing to do', amount(aside), 'starting, observed, left alone')}${tile('Namespaces', amount(namespaces.length), 'are opted in')}</dl>`;
}

/** Pods of a namespace, of a reason, or both. @param pods of the namespace, or all; undefined where names are not for who asks */
export function podsDocument(facts: StatusFacts, view: StatusView, pods: Iterable<ListedPod> | undefined): string {
  const { namespace, reason, page } = view;
  const where = namespace === '' ? 'all namespaces' : `namespace ${namespace}`;
  const title = reason === '' ? `Pods of ${where}` : `Pods of ${where}: ${reason}`;
  const reasons = facts.coverage?.reasons ?? {};
  const { total, guarded } = podTotals(reasons);
  const listed = pods && inListOrder(pods).filter((pod) => reason === '' || pod.reason === reason);
  return documentOf(title, facts, [
    html`<p><a href="./">Back to the whole page</a></p>
<h1>${title}</h1>
<p>${amount(guarded)} of ${amount(total)} pods of ${where} are guarded.</p>`,
    reason === ''
      ? reasonsSection(reasons, pods !== undefined, namespace)
      : html`<p class="filters">Reason <code>${reason}</code>: ${COVERAGE_REASONS[reason].text}. <a href="${addressOf({ namespace })}">${namespace === '' ? 'Pods for any reason' : 'Show every reason of the namespace'}</a></p>`,
    listed ? podsSection(listed, { namespace, reason, page }) : NAMES_NOTE,
  ]);
}

/** For an address that names nothing. What was asked for is not repeated. */
export function unknownDocument(facts: StatusFacts, why: string): string {
  return documentOf(why, facts, [html`<h1>${why}</h1><p><a href="./">Go to the whole page</a></p>`]);
}

function documentOf(title: string, { version, now, started }: StatusFacts, content: Content): string {
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} – invalid-drop</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<p class="name">invalid-drop ${version}</p>
<p>As of ${moment(now)}</p>
<nav aria-label="Other pages"><ul><li><a href="coverage">coverage</a></li><li><a href="selfcheck">selfcheck</a></li><li><a href="metrics">metrics</a></li></ul></nav>
</header>
<main id="content" tabindex="-1">
${content}
</main>
<footer><p>Seen by one replica of the webhook, which has run for ${spanText(now - started)}. The page does not refresh itself; it is made at most once in two seconds.</p></footer>
</body>
</html>
`.text;
}
