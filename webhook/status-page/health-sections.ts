// What the status page says of the installation itself: self-check and certificates. Pure.
import type { CertificateDescription } from '../certificates/read-certificates.ts';
import type { SelfcheckReport } from '../selfcheck/selfcheck-report.ts';
import { type Html, html } from './html.ts';
import { moment, section, state, table } from './page-parts.ts';
import { type CertificateFacts, spanText } from './status-facts.ts';

/** @param now milliseconds since 1970 */
export function selfcheckSection(report: SelfcheckReport | undefined, now: number): Html {
  if (report === undefined)
    return section('self-check', 'Self-check', html`<p>It has not ended yet: load the page again.</p>`);
  const rows = report.checks.map(({ name, ok, detail, durationMs }) => [
    name,
    ok ? state('ok', 'OK') : state('failing', 'FAILED'),
    html`<bdi>${detail}</bdi>`,
    `${durationMs} ms`,
  ]);
  const age = spanText(now - Date.parse(report.time));
  const columns = [
    { title: 'Check' },
    { title: 'Result' },
    { title: 'What was seen', kind: 'text' as const },
    { title: 'Took', kind: 'number' as const },
  ];
  return section(
    'self-check',
    'Self-check',
    table(`Whether admissions work, checked ${age} ago by this replica`, columns, rows),
  );
}

const RENEWED_BY: Record<CertificateFacts['source'], string> = {
  secret: 'The replicas renew them at the time in the table; they are in one Secret.',
  directory: 'Another program, such as cert-manager, renews them in the folder of the option certificate-directory.',
  memory: 'They live in this process alone, and are made anew with each start.',
};

/** @param now milliseconds since 1970 */
export function certificatesSection({ source, serving, cas, trusted }: CertificateFacts, now: number): Html {
  const rows = [
    ...(serving ? [rowOf('Serving certificate', serving, source === 'secret', now)] : []),
    ...cas.map((ca, index) =>
      rowOf(cas.length > 1 ? `CA ${index + 1} of ${cas.length}` : 'CA', ca, source === 'secret', now),
    ),
  ];
  const trust = {
    true: html`<p>${state('ok', 'Trusted')}: the caBundle of the webhook configuration trusts what this replica serves. ${RENEWED_BY[source]}</p>`,
    false: html`<p>${state('failing', 'Not trusted')}: the caBundle of the webhook configuration does not trust what this replica serves; the webhook's log says why. ${RENEWED_BY[source]}</p>`,
    undefined: html`<p>There is no cluster. ${RENEWED_BY[source]}</p>`,
  }[String(trusted) as 'true' | 'false' | 'undefined'];
  const columns = [
    { title: 'Certificate' },
    { title: 'State' },
    { title: 'Valid from', kind: 'time' as const },
    { title: 'Valid until', kind: 'time' as const },
    { title: 'Renewed at', kind: 'time' as const },
    { title: 'Names', kind: 'text' as const },
  ];
  const list =
    rows.length === 0
      ? html`<p>There is none yet.</p>`
      : table('Certificates by which API servers know the webhook', columns, rows);
  return section('certificates', 'Certificates', [trust, list]);
}

function rowOf(what: string, one: CertificateDescription, renews: boolean, now: number) {
  const { subject, from, until, renewal } = one;
  const valid = from <= now && now < until;
  const word = valid ? `Valid for ${spanText(until - now)}` : now < from ? 'Not valid yet' : 'Expired';
  return [
    what,
    state(valid ? 'ok' : 'failing', word),
    moment(from),
    moment(until),
    renews ? moment(renewal) : '–',
    subject,
  ];
}
