// What the status page says of drops, rescues, drift and peers: charts for the eye, tables for everybody. Pure.
import { BUCKET_MS, BUCKETS, COUNTERS, type CounterName, type PeerFigures } from '../collection/traffic-history.ts';
import { type Html, html } from './html.ts';
import { addressOf, moment, section, table } from './page-parts.ts';
import { amount, isoTime, type RoundFacts, spanText, type TrafficFacts } from './status-facts.ts';

const TITLES: Record<CounterName, string> = {
  drops: 'Packets dropped',
  rescues: 'Connections rescued',
  drift: 'Drift',
};
const NAMESPACES_SHOWN = 25;
const PEERS_SHOWN = 25;
const HOUR_BUCKETS = 3_600_000 / BUCKET_MS;

/**
 * @param traffic undefined where nothing is collected
 * @param now milliseconds since 1970
 */
export function trafficSection(traffic: TrafficFacts | undefined, now: number): Html {
  const title = 'Drops, rescues and drift of the last day';
  if (traffic === undefined)
    return section(
      'traffic',
      title,
      html`<p>Nothing is collected: it needs coverage, and the option <code>--collect enabled</code>.</p>`,
    );
  const sums = Object.fromEntries(
    COUNTERS.map((name) => [name, added(traffic.namespaces.map(({ values }) => values[name]))]),
  );
  const charts = COUNTERS.map((name) => chart(TITLES[name], sums[name] ?? [], now));
  return section('traffic', title, [
    html`<div class="charts">${charts}</div>`,
    sourceNotes(traffic, now),
    byNamespace(traffic),
    byHour(sums as Record<CounterName, number[]>, now),
  ]);
}

/** How the numbers came about, with what is missing. */
function sourceNotes({ began, checkers, agents }: TrafficFacts, now: number): Html[] {
  const whose =
    agents === undefined ? 'the checkers of guarded pods say' : 'the checkers of guarded pods and node agents say';
  return [
    html`<p class="note">This replica has counted since ${moment(began)}, ${spanText(now - began)} ago, what ${whose}.</p>`,
    html`<p class="note">Checkers: ${roundText(checkers, now)}</p>`,
    ...(agents ? [html`<p class="note">Node agents: ${roundText(agents, now)}</p>`] : []),
  ];
}

function roundText({ last, current }: RoundFacts, now: number): string {
  const underWay = current
    ? ` ${amount(current.answered + current.silent)} of ${amount(current.asked)} have been asked in the round under way.`
    : '';
  if (last === undefined) return `the first round has not ended yet.${underWay}`;
  if (last.asked === 0) return `there was none to ask.${underWay}`;
  const silent = last.silent === 0 ? 'all answered' : `${amount(last.silent)} did not answer`;
  return `${amount(last.asked)} asked, ${silent}; that round ended ${spanText(now - last.ended)} ago and took ${spanText(last.ended - last.began)}.${underWay}`;
}

/** Bars without numbers: the caption has the sum, the label the highest one, the tables the rest. */
function chart(title: string, values: number[], now: number): Html {
  const sum = values.reduce((total, value) => total + value, 0);
  const most = Math.max(...values, 0);
  const at = values.indexOf(most);
  const first = (Math.floor(now / BUCKET_MS) - BUCKETS + 1) * BUCKET_MS;
  const clock = (index: number) => isoTime(first + index * BUCKET_MS).slice(11, 16);
  const label =
    sum === 0
      ? `${title}: none`
      : `${title} by ten minutes: ${amount(sum)} in all, the most at ${clock(at)} UTC: ${amount(most)}`;
  // A value that is not 0 is always seen.
  const bars = values.map((value, index) => {
    const height = value === 0 ? 0 : Math.max(1.5, (30 * value) / most);
    return height === 0
      ? undefined
      : html`<rect x="${index}" y="${(32 - height).toFixed(1)}" width="0.8" height="${height.toFixed(1)}"/>`;
  });
  return html`<figure><figcaption><span>${title}</span><strong>${amount(sum)}</strong></figcaption>
<svg class="chart" role="img" aria-label="${label}" viewBox="0 0 ${BUCKETS} 32" preserveAspectRatio="none">${bars}</svg>
<p class="axis" aria-hidden="true"><span>${clock(0)}</span><span>${clock(BUCKETS - 1)} UTC</span></p></figure>
`;
}

function byNamespace({ namespaces }: TrafficFacts): Html {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const rows = namespaces
    .map(({ namespace, values }) => ({ namespace, counts: COUNTERS.map((name) => sum(values[name])) }))
    .sort((a, b) => sum(b.counts) - sum(a.counts))
    .slice(0, NAMESPACES_SHOWN)
    .map(({ namespace, counts }) => [
      html`<a href="${addressOf({ namespace })}">${namespace}</a>`,
      ...counts.map(amount),
    ]);
  if (rows.length === 0) return html`<p>There were none.</p>`;
  return table('Namespaces with drops, rescues or drift within the last day', columnsOf('Namespace'), rows);
}

/** The last twelve hours, the newest first. */
function byHour(sums: Record<CounterName, number[]>, now: number): Html {
  const bucket = Math.floor(now / BUCKET_MS);
  const hours = Array.from({ length: 12 }, (_, back) => {
    const last = BUCKETS - 1 - back * HOUR_BUCKETS;
    const from = (bucket - (back + 1) * HOUR_BUCKETS + 1) * BUCKET_MS;
    const count = (name: CounterName) =>
      sums[name].slice(last - HOUR_BUCKETS + 1, last + 1).reduce((total, value) => total + value, 0);
    return [html`from ${moment(from)}`, ...COUNTERS.map((name) => amount(count(name)))];
  });
  return html`<details><summary>Hour by hour</summary>${table('The last twelve hours, the newest first', columnsOf('Hour'), hours)}</details>`;
}

const columnsOf = (first: string) => [
  { title: first },
  ...COUNTERS.map((name) => ({ title: TITLES[name], kind: 'number' as const })),
];

function added(all: number[][]): number[] {
  return Array.from({ length: BUCKETS }, (_, index) => all.reduce((total, values) => total + (values[index] ?? 0), 0));
}

/** @param named whether who asks may see addresses and names */
export function peersSection(peers: PeerFigures[], named: boolean): Html | undefined {
  if (peers.length === 0) return undefined;
  const title = 'Peers that send stray segments';
  if (!named)
    return section(
      'peers',
      title,
      html`<p>${amount(peers.length)} within the last day; which, is only for who asks from the pod itself.</p>`,
    );
  const rows = peers
    .slice(0, PEERS_SHOWN)
    .map(({ peer, pods, examples, segments, rescued, lastSeen }) => [
      html`<code>${peer}</code>`,
      amount(segments),
      amount(rescued),
      moment(lastSeen),
      `${examples.join(', ')}${pods > examples.length ? ` and ${pods - examples.length} more` : ''}`,
    ]);
  const columns = [
    { title: 'Peer' },
    { title: 'Segments', kind: 'number' as const },
    { title: 'Rescued', kind: 'number' as const },
    { title: 'Last seen', kind: 'time' as const },
    { title: 'Pods', kind: 'text' as const },
  ];
  const more = peers.length - rows.length;
  return section('peers', title, [
    table(
      'Peers of the last day as checkers and node agents tell of them, those with the most segments first',
      columns,
      rows,
    ),
    more > 0 ? html`<p class="note">And ${amount(more)} more.</p>` : undefined,
  ]);
}
