import t from 'tap';
import { reportTable, runChecks, selfcheckPage, sharedReport } from '../../../webhook/selfcheck/selfcheck-report.ts';

const reasonOf = (error: unknown) => (error as Error).message;

t.test('one check that is not ok makes the whole not ok, and one that throws is not ok', async (t) => {
  const good = await runChecks([['one', () => ({ ok: true, detail: 'fine' })]], '1.0.0', reasonOf);
  t.match(good, { ok: true, version: '1.0.0', checks: [{ name: 'one', ok: true, detail: 'fine' }] });
  const bad = await runChecks(
    [
      ['one', () => ({ ok: true, detail: 'fine' })],
      ['two', () => Promise.reject(new Error('no route to host'))],
      [
        'three',
        () => {
          throw new Error('no such thing');
        },
      ],
    ],
    '1.0.0',
    reasonOf,
  );
  t.match(bad, {
    ok: false,
    checks: [{ ok: true }, { ok: false, detail: 'no route to host' }, { ok: false, detail: 'no such thing' }],
  });
});

t.test('the table has a line for each check, in columns', async (t) => {
  const checks = [
    { name: 'canary', ok: true, detail: 'fine', durationMs: 5 },
    { name: 'certificate', ok: false, detail: 'it has ended', durationMs: 1234 },
  ];
  t.equal(
    reportTable({ ok: false, version: '1', time: '', checks }),
    'ok      canary          5 ms  fine\nFAILED  certificate  1234 ms  it has ended\n',
  );
});

t.test('the checks run once in five seconds at most, whoever asks', async (t) => {
  let [runs, time] = [0, 0];
  const run = async () => {
    runs += 1;
    return { ok: runs === 1, version: '1', time: '', checks: [] };
  };
  const page = selfcheckPage(sharedReport(run, () => time));
  const pages = await Promise.all(Array.from({ length: 100 }, page));
  t.ok(pages.every(({ status }) => status === 200));
  time = 4999;
  await page();
  t.equal(runs, 1);
  time = 5000;
  t.equal((await page()).status, 503);
  t.equal(runs, 2);
});
