import t from 'tap';
import {
  areOutcomesAsExpected,
  type DemoConnection,
  type DemoSetup,
  KINDS,
  OUTCOME_HEADINGS,
  outcomeRows,
  SETUPS,
  summarizeOutcomes,
} from '../../demo/outcome-table.ts';

type Fates = Record<DemoSetup, DemoConnection['fate'][]>;

/** As on Linux 6.1 and later, one connection of each kind. */
const SEEN: Fates = {
  'no rule': ['reset', 'reset', 'fine', 'fine'],
  'rule alone': ['fine', 'stuck', 'fine', 'stuck'],
  'whole cure': ['fine', 'fine', 'fine', 'fine'],
};

function connections(fates: Partial<Fates>): DemoConnection[] {
  const all = { ...SEEN, ...fates };
  return SETUPS.flatMap((setup) =>
    KINDS.flatMap((kind, i) => {
      const fate = all[setup][i];
      return fate ? [{ setup, kind, fate, ms: 100 * i }] : [];
    }),
  );
}

t.test('the whole cure must leave no connection reset or stuck', async (t) => {
  t.equal(areOutcomesAsExpected(connections({})), true);
  for (const fate of ['reset', 'stuck'] as const) {
    t.equal(areOutcomesAsExpected(connections({ 'whole cure': ['fine', 'fine', 'fine', fate] })), false);
  }
});

t.test('a demo without harm where there is no rule proves nothing', async (t) => {
  t.equal(areOutcomesAsExpected(connections({ 'no rule': ['fine', 'fine', 'fine', 'fine'] })), false);
});

t.test('a kind of connections that is missing proves nothing', async (t) => {
  t.equal(areOutcomesAsExpected(connections({ 'whole cure': ['fine', 'fine', 'fine'] })), false);
});

t.test('nothing has to hang with the rule alone: on older kernels nothing does', async (t) => {
  t.equal(areOutcomesAsExpected(connections({ 'rule alone': ['fine', 'fine', 'fine', 'fine'] })), true);
});

t.test('a cell counts the connections by fate, with the slowest of those that are fine', async (t) => {
  const slow: DemoConnection = { setup: 'no rule', kind: 'upload, far', fate: 'fine', ms: 1234 };
  const fast: DemoConnection = { ...slow, ms: 200 };
  const stuck: DemoConnection = { ...slow, fate: 'stuck', ms: 10_000 };
  const rows = outcomeRows([...connections({}), fast, slow, stuck]);
  t.equal(rows[0]?.length, OUTCOME_HEADINGS.length);
  t.same(rows[0], ['upload, far', '2 fine (1.2 s), 1 reset, 1 stuck', '1 fine (0.0 s)', '1 fine (0.0 s)']);
  t.same(rows[3], ['download, near', '1 fine (0.3 s)', '1 stuck', '1 fine (0.3 s)']);
});

t.test('a sentence for each setup', async (t) => {
  t.same(summarizeOutcomes(connections({})), [
    'Without the rule 2 of 4 connections were reset and 0 hung.',
    'With the rule alone 0 of 4 connections were reset and 2 hung.',
    'With the whole cure 0 of 4 connections were reset and 0 hung.',
  ]);
});
