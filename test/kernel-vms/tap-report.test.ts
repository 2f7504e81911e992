import t from 'tap';
import { makeReport, type Report, Turns, takeTurns } from './tap-report.ts';

const FILES = ['test/netns/a.test.ts', 'test/netns/b.test.ts'];
const DONE = `TAP version 14
# kernel 6.1.0-1-amd64
# Subtest: test/netns/a.test.ts
    # Subtest: it holds
        ok 1 - passes
        1..1
    ok 1 - it holds # time=3ms
    1..1
ok 1 - test/netns/a.test.ts # time=5ms
# Subtest: test/netns/b.test.ts
    # Subtest: it holds too
        not ok 1 - passes
          ---
          found: |
            ok 7 - no point
          ...
        1..1
    not ok 1 - it holds too
    1..1
not ok 2 - test/netns/b.test.ts
1..2`.split('\n');

const feed = (report: Report, lines: string[]) => lines.flatMap((line) => report.line(line));
const named = (lines: string[]) => lines.filter((line) => /^ *(not )?ok /.test(line));

t.test("the kernel's release is in the name of each file and test", async (t) => {
  const report = makeReport('6.1.0-1-amd64', FILES);
  const lines = [...feed(report, DONE), ...report.end('the machine ended', '')];
  t.same(named(lines), [
    '        ok 1 - passes',
    '    ok 1 - 6.1.0-1-amd64: it holds # time=3ms',
    'ok 1 - 6.1.0-1-amd64: test/netns/a.test.ts # time=5ms',
    '        not ok 1 - passes',
    '            ok 7 - no point',
    '    not ok 1 - 6.1.0-1-amd64: it holds too',
    'not ok 2 - 6.1.0-1-amd64: test/netns/b.test.ts',
  ]);
  t.equal(lines.at(-1), '1..2');
  t.equal(report.ok(), false);
});

t.test('a report without a failure is ok', async (t) => {
  const report = makeReport('6.1', FILES.slice(0, 1));
  feed(report, [...DONE.slice(0, 9), '1..1']);
  t.same(report.end('the machine ended', ''), []);
  t.equal(report.ok(), true);
});

t.test('what a guest left open fails by name, with the end of its console, and the report stays whole', async (t) => {
  const report = makeReport('6.1', FILES);
  feed(report, DONE.slice(0, 5));
  const last = report.end('the kernel panicked', 'Kernel panic - not syncing\nEnd');
  t.same(named(last), [
    '        not ok 2 - the kernel panicked',
    '    not ok 1 - 6.1: it holds',
    'not ok 1 - 6.1: test/netns/a.test.ts',
    'not ok 2 - 6.1: test/netns/b.test.ts',
  ]);
  t.same(
    last.filter((line) => /^ *1\.\./.test(line)),
    ['        1..2', '    1..1', '1..2'],
  );
  t.match(last.join('\n'), /console: \|\n +Kernel panic/);
  t.equal(report.ok(), false);
});

t.test('a guest that ends within a diagnostic block leaves the block closed', async (t) => {
  const report = makeReport('6.1', FILES);
  feed(report, DONE.slice(0, 14));
  t.equal(report.end('the machine ended', '')[0], '          ...');
});

t.test('a guest that never began fails each file', async (t) => {
  const report = makeReport('6.1', FILES);
  t.same(named(report.end('the machine ended', '')), [
    'not ok 1 - 6.1: test/netns/a.test.ts',
    'not ok 2 - 6.1: test/netns/b.test.ts',
  ]);
});

t.test('a guest that ends without its plan fails, though every file has passed', async (t) => {
  const report = makeReport('6.1', FILES.slice(0, 1));
  feed(report, DONE.slice(0, 9));
  t.match(named(report.end('the machine ended', '')), [/^not ok 2 - 6\.1: the machine ended/]);
  t.equal(report.ok(), false);
});

t.test('a report is in the order of its parts, whatever order they are made in', async (t) => {
  const printed: string[] = [];
  const turns = new Turns((line) => printed.push(line));
  turns.say(1, 'b1');
  turns.say(0, 'a1');
  turns.say(2, 'c1');
  turns.end(2);
  turns.say(1, 'b2');
  t.same(printed, ['a1'], 'the first is printed as it comes');
  turns.end(0);
  t.same(printed, ['a1', 'b1', 'b2'], 'then what the second has said meanwhile');
  turns.say(1, 'b3');
  turns.end(1);
  t.same(printed, ['a1', 'b1', 'b2', 'b3', 'c1']);
});

t.test('no more work is begun than may run at once, and all of it in the end', async (t) => {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const all = takeTurns(['a', 'b', 'c'], 2, async (one, turn) => {
    begun.push(`${turn}${one}`);
    await new Promise<void>((resolve) => waiting.push(resolve));
  });
  t.same(begun, ['0a', '1b']);
  waiting[1]?.();
  await new Promise(setImmediate);
  t.same(begun, ['0a', '1b', '2c']);
  for (const end of waiting) end();
  await all;
});

t.test('work that fails is told', async (t) => {
  await t.rejects(
    takeTurns(['a'], 2, async () => Promise.reject(new Error('it broke'))),
    { message: 'it broke' },
  );
});
