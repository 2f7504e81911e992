import t from 'tap';
import { coverageReport } from '../../../webhook/coverage/coverage-report.ts';
import type { RefusedCreation } from '../../../webhook/coverage/refused-creations.ts';
import { amount, podTotals, spanText, summaryOf, timeText } from '../../../webhook/status-page/status-facts.ts';
import { addPods, emptyStore, type MadeReason, refusedOf, selfcheckOf } from './made-status.ts';

function coverageOf(
  pods: Partial<Record<MadeReason, number>>,
  { synced = true, refused = [] as RefusedCreation[] } = {},
) {
  const store = emptyStore();
  addPods(store, 'storage', pods);
  return coverageReport({ store, synced, refused: () => refused }, '', 'withheld');
}

const FINE = selfcheckOf();

t.test('the first line tells the worst that is known', async (t) => {
  const table: [string, string, Parameters<typeof summaryOf>[0]][] = [
    ['ok', 'All is well: all 2 pods are guarded', { selfcheck: FINE, coverage: coverageOf({ guarded: 2 }) }],
    ['ok', 'All is well: the pod is guarded', { selfcheck: FINE, coverage: coverageOf({ guarded: 1 }) }],
    [
      'ok',
      'All is well: 1,200 of 1,203 pods are guarded',
      { selfcheck: FINE, coverage: coverageOf({ guarded: 1200, starting: 1, 'opted-out': 2 }) },
    ],
    [
      'attention',
      '1 pod is not guarded and needs attention',
      { selfcheck: FINE, coverage: coverageOf({ guarded: 5, 'webhook-missed': 1 }) },
    ],
    [
      'attention',
      '3 pods are not guarded and need attention',
      { selfcheck: undefined, coverage: coverageOf({ 'webhook-missed': 1, 'install-failed': 2 }) },
    ],
    [
      'failing',
      'The self-check fails: certificate, canary',
      {
        selfcheck: selfcheckOf([{ ok: false }, { ok: false }]),
        coverage: coverageOf({ 'webhook-missed': 1 }),
      },
    ],
    [
      'attention',
      '1 workload cannot create pods',
      { selfcheck: FINE, coverage: coverageOf({ guarded: 1 }, { refused: [refusedOf('Job/a', 'no')] }) },
    ],
    ['unknown', 'The self-check has not ended yet', { selfcheck: undefined, coverage: coverageOf({ guarded: 1 }) }],
    [
      'unknown',
      'The pods have not all been listed yet',
      { selfcheck: FINE, coverage: coverageOf({ guarded: 1 }, { synced: false }) },
    ],
    ['ok', 'Admissions work', { selfcheck: FINE, coverage: undefined }],
    ['ok', 'Admissions work', { selfcheck: FINE, coverage: coverageOf({}) }],
  ];
  for (const [level, headline, facts] of table) t.match(summaryOf(facts), { level, headline }, headline);
});

t.test('each pod counts once', async (t) => {
  const totals = podTotals({ guarded: 3, 'guarded-by-agent': 1, 'webhook-missed': 2, starting: 4, 'pod-security': 5 });
  t.strictSame(totals, { total: 15, guarded: 4, open: 7, aside: 4 });
});

t.test('numbers, lengths of time and times are written for people', async (t) => {
  t.strictSame([0, 999, 1000, 1234567].map(amount), ['0', '999', '1,000', '1,234,567']);
  t.strictSame([0, 119_000, 120_000, 7_200_000, 172_800_000].map(spanText), ['0 s', '119 s', '2 min', '2 h', '2 d']);
  t.equal(timeText(Date.parse('2030-01-02T03:04:05.678Z')), '2030-01-02 03:04:05 UTC');
  t.equal(timeText(Number.NaN), 'unknown');
});
