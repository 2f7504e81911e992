import t from 'tap';
import { makeFigure } from '../../bench/figure.ts';

const base = { name: 'some', unit: 'ms' };

t.test('the ratio is value by reference, and the goal is judged on it', async (t) => {
  const figure = makeFigure({ ...base, value: 149, reference: 100, goal: 'ratio <= 1.5' });
  t.same(figure, { ...base, value: 149, reference: 100, ratio: 1.49, goal: 'ratio <= 1.5', ok: true });
  t.equal(makeFigure({ ...base, value: 151, reference: 100, goal: 'ratio <= 1.5' }).ok, false);
});

t.test('a ratio of pairs wins over that of the medians', async (t) => {
  const figure = makeFigure({ ...base, value: 100, reference: 100, ratio: 0.96, goal: 'ratio >= 0.97' });
  t.match(figure, { ratio: 0.96, ok: false });
});

t.test('a goal may be about the value, and its limit itself reaches it', async (t) => {
  t.equal(makeFigure({ ...base, value: 0.1, goal: 'value <= 0.1' }).ok, true);
  t.equal(makeFigure({ ...base, value: 0.11, goal: 'value <= 0.1' }).ok, false);
  t.equal(makeFigure({ ...base, value: 99, reference: 100, goal: 'ratio >= 1' }).ok, false);
});

t.test('a figure for information has neither goal nor ok', async (t) => {
  t.same(makeFigure({ ...base, value: 3 }), { ...base, value: 3, reference: null, ratio: null, goal: null, ok: null });
});

t.test('a goal about a ratio that is not there is not reached', async (t) => {
  t.equal(makeFigure({ ...base, value: 3, goal: 'ratio <= 1.5' }).ok, false);
});

t.test('numbers are rounded after the goal is judged', async (t) => {
  const figure = makeFigure({ ...base, value: 1.500049, reference: 1, goal: 'ratio <= 1.5' });
  t.match(figure, { value: 1.5, ratio: 1.5, ok: false });
});
