import t from 'tap';
import type { AskResult } from '../../../webhook/collection/ask-checker.ts';
import { checkerFigures } from '../../../webhook/collection/checker-figures.ts';
import { type CheckerTarget, MOST_ASKED, startCollection } from '../../../webhook/collection/collector.ts';
import { reportText } from './made-reports.ts';

const FIGURES = checkerFigures(reportText());
const ANSWERED: AskResult = FIGURES ? { result: 'answered', figures: FIGURES } : { result: 'invalid' };
const targets = (count: number): CheckerTarget[] =>
  Array.from({ length: count }, (_, i) => ({
    identity: {},
    namespace: 'storage',
    pod: `store-${i}`,
    ip: `10.1.${i >> 8}.${i & 255}`,
    port: 15099,
    startedAt: 0,
  }));

/** A collection with a clock that goes on by hand, and what it asked when. */
function collected(pods: () => Iterable<CheckerTarget>, answer: (ip: string) => Promise<AskResult> | AskResult) {
  let [time, next] = [0, { at: 0, run: () => {} }];
  const asked: [number, string][] = [];
  const counted: string[] = [];
  const collection = startCollection({
    targets: pods,
    ask: async (ip) => {
      asked.push([time, ip]);
      return answer(ip);
    },
    count: (result) => counted.push(result),
    now: () => time,
    later: (run, milliseconds) => {
      next = { at: time + milliseconds, run };
      return () => {
        next = { at: Number.POSITIVE_INFINITY, run: () => {} };
      };
    },
  });
  /** Goes on until that time, calling back whatever is due. */
  const goTo = async (until: number) => {
    while (next.at <= until) {
      const { at, run } = next;
      time = at;
      next = { at: Number.POSITIVE_INFINITY, run: () => {} };
      run();
      await new Promise(setImmediate);
    }
    time = until;
  };
  return { collection, asked, counted, goTo };
}

t.test('five pods are asked a second, and each once a minute', async (t) => {
  const pods = targets(30);
  const { collection, asked, goTo } = collected(
    () => pods,
    () => ANSWERED,
  );
  await goTo(4999);
  t.equal(asked.length, 0, 'coverage lists the pods first');
  await goTo(6000);
  t.equal(asked.length, 6);
  t.match(collection.current(), { pods: 30, answered: 6, silent: 0 });
  await goTo(64_999);
  t.equal(asked.length, 30);
  t.match(collection.last(), { began: 5000, ended: 10_800, pods: 30, answered: 30, silent: 0 });
  t.equal(collection.current(), undefined);
  await goTo(65_000);
  t.equal(asked.length, 31, 'the next round');
  t.same(asked[30], [65_000, asked[0]?.[1]]);
});

t.test('those that do not answer are counted, and hold nobody up', async (t) => {
  const pods = targets(3);
  const { promise } = Promise.withResolvers<AskResult>();
  const { collection, counted, asked, goTo } = collected(
    () => pods,
    (ip) => (ip === '10.1.0.0' ? promise : ip === '10.1.0.1' ? { result: 'invalid' } : ANSWERED),
  );
  await goTo(10_000);
  t.equal(asked.length, 3);
  t.match(collection.current(), { answered: 1, silent: 1 }, 'until the one has an end');
  t.strictSame(counted.toSorted(), ['answered', 'invalid']);
  t.equal(collection.last(), undefined);
});

t.test('without pods, and with too many, rounds go on', async (t) => {
  let pods: CheckerTarget[] = [];
  const { collection, asked, goTo } = collected(
    () => pods,
    () => ANSWERED,
  );
  await goTo(5000);
  t.match(collection.last(), { pods: 0 });
  pods = targets(MOST_ASKED + 5);
  await goTo(10_000);
  t.equal(asked.length, 1);
  t.match(collection.current(), { pods: MOST_ASKED });
});

t.test('after the stop nobody is asked', async (t) => {
  const pods = targets(30);
  const { collection, asked, goTo } = collected(
    () => pods,
    () => ANSWERED,
  );
  await goTo(5500);
  collection.stop();
  const before = asked.length;
  await goTo(500_000);
  t.equal(asked.length, before);
});
