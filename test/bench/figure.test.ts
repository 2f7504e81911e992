import t from 'tap';
import { makeFigure, renderFigures, renderResults } from '../../bench/figure.ts';

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

const FIGURES = [
  makeFigure({ name: 'install', value: 120, unit: 'ms', reference: 100, goal: 'ratio <= 1.5' }),
  makeFigure({ name: 'data path', value: 90, unit: 'MB/s', reference: 100, goal: 'ratio >= 0.97' }),
  makeFigure({ name: 'RSS', value: 59, unit: 'MB' }),
];

t.test('results.json is an array of figures with exactly the documented keys', async (t) => {
  const parsed = JSON.parse(renderResults(FIGURES));
  t.same(parsed, FIGURES);
  for (const one of parsed) {
    t.same(Object.keys(one), ['name', 'value', 'unit', 'reference', 'ratio', 'goal', 'ok']);
  }
  t.same(JSON.parse(renderResults([])), []);
});

t.test('the table has a line a figure, and says which goals were reached', async (t) => {
  const [, , install, dataPath, rss] = renderFigures(FIGURES).split('\n');
  t.match(install, /^install +120 +ms +100 +1\.2 +ratio <= 1\.5 +ok$/);
  t.match(dataPath, /^data path +90 +MB\/s +100 +0\.9 +ratio >= 0\.97 +NOT REACHED$/);
  t.match(rss, /^RSS +59 +MB$/);
});
