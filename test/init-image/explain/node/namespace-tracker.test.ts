import t from 'tap';
import { makeCensus } from '../../../../init-image/explain/node/namespace-tracker.ts';
import type { Counts, Scanned } from '../../../../init-image/explain/node/node-namespaces.ts';
import { namespace } from './made-resets.ts';

function scanned(id: string, counts: Counts): Scanned {
  const { invalidGrew: _, resetsGrew: __, ...rest } = namespace({ id });
  return { ...rest, pid: id, counts };
}

/** A census whose world a test changes. */
function start(first: Scanned[]) {
  const world = { scans: 0, now: 0, list: first, counts: {} as Record<string, Counts> };
  const scan = () => {
    world.scans++;
    return world.list;
  };
  const census = makeCensus(
    scan,
    (pid) => world.counts[pid] ?? { invalid: null, resets: null },
    () => world.now,
  );
  return {
    world,
    census,
    grown: () => {
      census.refresh();
      return census.namespaces().map(({ id, invalidGrew, resetsGrew }) => [id, invalidGrew, resetsGrew]);
    },
  };
}

t.test('counts are from the beginning of the watch', async (t) => {
  const { world, grown } = start([scanned('a', { invalid: 10, resets: 20 })]);
  world.counts = { a: { invalid: 13, resets: 21 } };
  t.same(grown(), [['a', 3, 1]]);
});

t.test('of a namespace that is found later all counts', async (t) => {
  const { world, grown } = start([]);
  world.list = [scanned('b', { invalid: 2, resets: 2 })];
  t.same(grown(), [], 'a fresh scan is not taken again');
  world.now = 1001;
  t.same(grown(), [['b', 2, 2]]);
  t.equal(world.scans, 2);
});

t.test('where the process that a namespace is read by has ended, another is found at once', async (t) => {
  const { world, grown } = start([scanned('a', { invalid: 1, resets: 1 })]);
  world.list = [{ ...scanned('a', { invalid: 4, resets: 3 }), pid: 'other' }];
  world.counts = { other: { invalid: 4, resets: 3 } };
  t.same(grown(), [['a', 3, 2]]);
});

t.test('what cannot be read is not known', async (t) => {
  const { grown } = start([scanned('a', { invalid: null, resets: null })]);
  t.same(grown(), [['a', null, null]]);
});

t.test('an INVALID packet explains one reset and no more', async (t) => {
  const { world, census, grown } = start([scanned('a', { invalid: 0, resets: 0 })]);
  world.counts = { a: { invalid: 1, resets: 2 } };
  census.explained('a');
  t.same(grown(), [['a', 0, 2]]);
});
