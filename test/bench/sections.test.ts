import t from 'tap';
import { makeFigure } from '../../bench/figure.ts';
import { chosenSections, measureSections, renderMeasured } from '../../bench/sections.ts';

const figure = (name: string) => makeFigure({ name, value: 1, unit: 'ms', goal: 'value <= 2' });
const SECTIONS = {
  first: async () => [figure('a')],
  broken: async () => Promise.reject(new Error('no route')),
  last: async () => [figure('b')],
};

t.test('a section that fails is named, cleaned up after, and the next are measured', async (t) => {
  let cleaned = 0;
  const measured = await measureSections(SECTIONS, async () => {
    cleaned++;
  });
  t.same(
    measured.figures.map(({ name }) => name),
    ['a', 'b'],
  );
  t.same([measured.failures, cleaned], [['broken could not be measured: no route'], 1]);
  t.match(renderMeasured(measured, performance.now()), /\n\n2 of 2 goals reached, in 0 s\.\nbroken could not be/);
});

t.test('no section begins once the bench is stopped', async (t) => {
  t.same(
    await measureSections(
      SECTIONS,
      async () => undefined,
      () => true,
    ),
    { figures: [], failures: [] },
  );
});

t.test('sections are chosen by name, and all where none is named', async (t) => {
  t.same(Object.keys(chosenSections(SECTIONS, ['last'])), ['last']);
  t.same(chosenSections(SECTIONS, []), SECTIONS);
});
