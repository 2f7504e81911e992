import t from 'tap';
import type { NodeNamespaceCounters } from '../../../lib/resets/namespace-net.ts';
import { makeNamespaceTracker } from '../../../lib/resets/namespace-tracker.ts';
import type { ScannedNamespace } from '../../../lib/resets/node-namespaces.ts';
import { namespace } from './made-resets.ts';

function scanned(id: string, counters: NodeNamespaceCounters): ScannedNamespace {
  const { invalidGrew: _, resetsGrew: __, ...rest } = namespace({ id });
  return { ...rest, pid: id, counters };
}

/** A tracker, and the world that it reads, which a test changes. */
function start(first: ScannedNamespace[]) {
  const world = { scans: 0, now: 0, list: first, counters: {} as Record<string, NodeNamespaceCounters> };
  const scan = () => {
    world.scans++;
    return world.list;
  };
  const tracker = makeNamespaceTracker(
    scan,
    (pid) => world.counters[pid] ?? { invalid: null, resets: null },
    () => world.now,
  );
  return {
    world,
    tracker,
    grown: () => {
      tracker.refresh();
      return tracker.namespaces().map(({ id, invalidGrew, resetsGrew }) => [id, invalidGrew, resetsGrew]);
    },
  };
}

t.test('counters start with the watch', async (t) => {
  const { world, grown } = start([scanned('a', { invalid: 10, resets: 20 })]);
  world.counters = { a: { invalid: 13, resets: 21 } };
  t.same(grown(), [['a', 3, 1]]);
});

t.test('a namespace that is found later is counted from 0', async (t) => {
  const { world, grown } = start([]);
  world.list = [scanned('b', { invalid: 2, resets: 2 })];
  t.same(grown(), [], 'a fresh scan is not taken again');
  world.now = 1001;
  t.same(grown(), [['b', 2, 2]]);
  t.equal(world.scans, 2);
});

t.test('when the process of a namespace has ended, another one is found at once', async (t) => {
  const { world, grown } = start([scanned('a', { invalid: 1, resets: 1 })]);
  world.list = [{ ...scanned('a', { invalid: 4, resets: 3 }), pid: 'other' }];
  world.counters = { other: { invalid: 4, resets: 3 } };
  t.same(grown(), [['a', 3, 2]]);
});

t.test('counters that cannot be read are unknown', async (t) => {
  const { grown } = start([scanned('a', { invalid: null, resets: null })]);
  t.same(grown(), [['a', null, null]]);
});

t.test('an INVALID packet explains only one reset', async (t) => {
  const { world, tracker, grown } = start([scanned('a', { invalid: 0, resets: 0 })]);
  world.counters = { a: { invalid: 1, resets: 2 } };
  tracker.useInvalidPacket('a');
  t.same(grown(), [['a', 0, 2]]);
});
