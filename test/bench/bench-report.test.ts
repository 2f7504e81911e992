import t from 'tap';
import { renderFigures, renderResults } from '../../bench/bench-report.ts';
import { makeFigure } from '../../bench/figure.ts';

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
