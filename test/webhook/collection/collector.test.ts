import t from 'tap';
import { MOST_ASKED, type Question, startRounds } from '../../../webhook/collection/collector.ts';
import type { AskResult } from '../../../webhook/collection/pod-request.ts';
import { makeClock } from './made-clock.ts';

type Answer = (name: string) => Promise<AskResult> | AskResult;
const names = (kind: string, count: number) => Array.from({ length: count }, (_, index) => `${kind}-${index}`);

/** Rounds with a clock that goes on by hand, and who was asked when. */
function rounds(checkers: () => string[], agents?: () => string[], answer: Answer = () => 'answered') {
  const clock = makeClock();
  const asked: [number, string][] = [];
  const questions = (who: () => string[]) => () =>
    who().map(
      (name): Question =>
        async () => {
          asked.push([clock.now(), name]);
          return answer(name);
        },
    );
  return { ...startRounds(questions(checkers), agents && questions(agents), clock), asked, goTo: clock.goTo };
}

t.test('five are asked a second, and each once a minute', async (t) => {
  const { checkers, agents, asked, goTo } = rounds(() => names('c', 30));
  t.equal(agents, undefined);
  await goTo(4999);
  t.equal(asked.length, 0, 'coverage lists the pods first');
  await goTo(6000);
  t.equal(asked.length, 6);
  t.match(checkers.current(), { asked: 30, answered: 6, silent: 0 });
  await goTo(64_999);
  t.equal(asked.length, 30);
  t.match(checkers.last(), { began: 5000, ended: 10_800, asked: 30, answered: 30, silent: 0 });
  t.equal(checkers.current(), undefined);
  await goTo(65_000);
  t.equal(asked.length, 31, 'the next round');
  t.same(asked[30], [65_000, asked[0]?.[1]]);
});

t.test('checkers and agents take turns, and are no more than five a second together', async (t) => {
  const { checkers, agents, asked, goTo } = rounds(
    () => names('c', 1000),
    () => names('a', 3),
  );
  await goTo(6000);
  t.strictSame(
    asked.map(([at, name]) => `${at} ${name}`),
    ['5000 c-0', '5200 a-0', '5400 c-1', '5600 a-1', '5800 c-2', '6000 a-2'],
  );
  t.match(agents?.last(), { asked: 3, answered: 3, ended: 6000 });
  await goTo(65_399);
  t.match(checkers.current(), { asked: 1000 });
  t.equal(asked.filter(([, name]) => name === 'a-0').length, 2, 'agents do not wait for the round of the checkers');
  t.equal(asked.length, 1 + Math.floor((65_399 - 5000) / 200), 'one each 200 ms');
});

t.test('those that do not answer are counted, and hold nobody up', async (t) => {
  const { promise } = Promise.withResolvers<AskResult>();
  const { checkers, asked, goTo } = rounds(
    () => names('c', 3),
    undefined,
    (name) => (name === 'c-0' ? promise : name === 'c-1' ? 'invalid' : 'answered'),
  );
  await goTo(10_000);
  t.equal(asked.length, 3);
  t.match(checkers.current(), { answered: 1, silent: 1 }, 'until the one has an end');
  t.equal(checkers.last(), undefined);
});

t.test('with nobody to ask, and with too many, rounds go on', async (t) => {
  let all: string[] = [];
  const { checkers, asked, goTo } = rounds(() => all);
  await goTo(5000);
  t.match(checkers.last(), { asked: 0 });
  all = names('c', MOST_ASKED + 5);
  await goTo(10_000);
  t.equal(asked.length, 1);
  t.match(checkers.current(), { asked: MOST_ASKED });
});

t.test('after the stop nobody is asked', async (t) => {
  const { asked, stop, goTo } = rounds(
    () => names('c', 30),
    () => names('a', 30),
  );
  await goTo(5500);
  stop();
  const { length } = asked;
  await goTo(500_000);
  t.equal(asked.length, length);
});
