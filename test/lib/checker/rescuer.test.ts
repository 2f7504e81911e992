import { mock } from 'node:test';
import t, { type Test } from 'tap';
import type { RescueResult } from '../../../lib/checker/liberal-connection.ts';
import type { NotedConnection, Notes } from '../../../lib/checker/noted-connections.ts';
import { Rescuer } from '../../../lib/checker/rescuer.ts';

function connection(sourcePort: number, segments = 1): NotedConnection {
  return { source: '10.0.0.1', sourcePort, destination: '10.0.0.2', destinationPort: 9000, segments };
}

/** A rescuer whose notes and results a test sets. */
function makeRescuer(result: (connection: NotedConnection) => RescueResult | Error = () => 'rescued') {
  const lines: { level: string; event: string; [key: string]: unknown }[] = [];
  const state = {
    now: 1_000_000,
    notes: { segments: 0, connections: [] } as Notes | Error,
    tried: [] as number[],
    forgotten: 0,
    invalid: 0 as number | null | Error,
    hearsAlarm: true,
    reads: 0,
  };
  const rescuer = new Rescuer({
    countInvalid: () => {
      if (state.invalid instanceof Error) throw state.invalid;
      return state.invalid;
    },
    hearsAlarm: () => state.hearsAlarm,
    readNotes: async () => {
      state.reads++;
      if (state.notes instanceof Error) throw state.notes;
      return state.notes;
    },
    makeLiberal: async (one) => {
      state.tried.push(one.sourcePort);
      const got = result(one);
      if (got instanceof Error) throw got;
      return got;
    },
    forget: async (connections) => {
      state.forgotten += connections.length;
    },
    log: (level, event, details) => void lines.push({ level, event, ...details }),
    now: () => state.now,
    date: () => 0,
  });
  const round = (connections: NotedConnection[], segments = connections.length) => {
    state.notes = { segments, connections };
    return rescuer.round();
  };
  return { rescuer, state, lines, round };
}

t.test('each connection is rescued once, and told with its peer and port', async (t) => {
  const { rescuer, state, lines, round } = makeRescuer();
  await round([connection(1), connection(2)]);
  await round([connection(1), connection(2)]);
  t.same(state.tried, [1, 2]);
  t.match(lines, [
    { level: 'info', event: 'rescued', peer: '10.0.0.1', peerPort: 1, port: 9000, segments: 1 },
    { event: 'rescued', peerPort: 2 },
  ]);
  t.match(rescuer, { rescued: 2, failed: 0, segments: 2 });
  t.match(rescuer.lastPeers(), [{ peer: '10.0.0.1', port: 9000, segments: 2, rescued: 2 }]);
});

t.test(
  'one that has more stray segments is tried again some seconds later, a few times, and counted once',
  async (t) => {
    const { rescuer, state, round } = makeRescuer();
    for (let i = 0; i < 20; i++) {
      await round([connection(1, i + 1)]);
      state.now += 1000;
    }
    t.equal(state.tried.length, 5);
    t.equal(rescuer.rescued, 1);
    state.now += 61_000;
    await round([connection(1, 1)]);
    t.equal(rescuer.rescued, 2, 'a minute later the same ports are another connection');
  },
);

t.test('segments that came while it was made liberal do not make it tried again', async (t) => {
  const { state, round } = makeRescuer();
  await round([connection(1, 1)]);
  state.now += 5000;
  t.same(await round([connection(1, 3)]), { tried: 0, left: 0 });
  state.now += 5000;
  t.same(await round([connection(1, 4)]), { tried: 1, left: 0 });
});

t.test('a round is bounded, and what is left is said', async (t) => {
  const { state, round } = makeRescuer();
  const many = Array.from({ length: 100 }, (_, i) => connection(i));
  t.same(await round(many), { tried: 64, left: 36 });
  t.same(await round(many), { tried: 36, left: 0 });
  t.equal(new Set(state.tried).size, 100);
});

t.test('a flood of forged segments is tried at a bounded rate', async (t) => {
  const { state, round } = makeRescuer(() => 'gone');
  for (let i = 0; i < 100; i++) await round(Array.from({ length: 64 }, (_, j) => connection(i * 64 + j)));
  t.equal(state.tried.length, 1000);
  state.now += 1000;
  await round(Array.from({ length: 64 }, (_, j) => connection(10_000 + j)));
  t.equal(state.tried.length, 1020);
});

t.test('nearly full notes are emptied of what was tried, or has one segment; most segments come first', async (t) => {
  const { state, round } = makeRescuer(() => 'gone');
  const full = [
    ...Array.from({ length: 900 }, (_, i) => connection(i)),
    ...Array.from({ length: 100 }, (_, i) => connection(2000 + i, 7)),
  ];
  await round(full);
  t.ok(state.tried.every((port) => port >= 2000));
  t.equal(state.forgotten, 964);
  await round(full.slice(0, 500));
  t.equal(state.forgotten, 964, 'there is room');
});

t.test('failures are counted, and logged once while they stay the same', async (t) => {
  const { rescuer, lines, round } = makeRescuer(() => new Error('refused'));
  await round([connection(1), connection(2), connection(3)]);
  t.match(rescuer, { rescued: 0, failed: 3 });
  t.match(lines, [{ level: 'error', event: 'rescue-failed', message: 'refused' }]);
  t.equal(lines.length, 1);
});

t.test('notes that cannot be read are a failure, and the next round goes on', async (t) => {
  const { rescuer, state, lines, round } = makeRescuer();
  state.notes = new Error('no table');
  t.same(await rescuer.round(), { tried: 0, left: 0 });
  t.match(lines, [{ event: 'rescue-failed', message: 'no table' }]);
  await round([connection(1)]);
  t.equal(rescuer.rescued, 1);
});

t.test('log lines are limited, and the next one says how many are missing', async (t) => {
  const { lines, state, round } = makeRescuer();
  await round(Array.from({ length: 30 }, (_, i) => connection(i)));
  t.equal(lines.length, 10);
  state.now += 60_000;
  await round([connection(31)]);
  t.match(lines[10], { event: 'rescued', peerPort: 31, notLogged: 20 });
});

t.test("the table's counter may start again", async (t) => {
  const { rescuer, round } = makeRescuer();
  await round([], 10);
  await round([], 12);
  await round([], 3);
  t.equal(rescuer.segments, 15);
});

t.test('of a segment of the pod itself, the peer is where it goes', async (t) => {
  const { rescuer, lines, round } = makeRescuer();
  const answer = { source: '10.0.0.2', sourcePort: 15_006, destination: '10.0.0.1', destinationPort: 40_000 };
  await round([{ ...answer, outgoing: true, segments: 1 }]);
  t.match(lines, [{ event: 'rescued', peer: '10.0.0.1', peerPort: 40_000, port: 15_006 }]);
  t.match(rescuer.lastPeers(), [{ peer: '10.0.0.1', port: 15_006 }]);
});

t.test('the last five peers are told, the last first', async (t) => {
  const { rescuer, round } = makeRescuer();
  const from = (i: number) => ({ ...connection(i), source: `10.0.0.${i}` });
  for (let i = 1; i <= 7; i++) await round([from(i)]);
  t.same(
    rescuer.lastPeers().map(({ peer }) => peer),
    ['10.0.0.7', '10.0.0.6', '10.0.0.5', '10.0.0.4', '10.0.0.3'],
  );
});

function mockTimers(t: Test): void {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
}

/** What runs after a timer, to its end. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

t.test('an alarm leads to a round at once, and those that come meanwhile to one more after a gap', async (t) => {
  mockTimers(t);
  const { rescuer, state } = makeRescuer();
  rescuer.start();
  await settle();
  t.equal(state.reads, 0, 'nothing is INVALID yet');
  rescuer.alarm();
  await settle();
  t.equal(state.reads, 1);
  rescuer.alarm();
  rescuer.alarm();
  await settle();
  t.equal(state.reads, 1);
  mock.timers.tick(2000);
  await settle();
  t.equal(state.reads, 2);
  mock.timers.tick(2000);
  await settle();
  t.equal(state.reads, 2);
  rescuer.stop();
});

t.test('where no alarm is heard, the count is looked at each second; else every ten', async (t) => {
  mockTimers(t);
  for (const [hearsAlarm, gap] of [
    [false, 1000],
    [true, 10_000],
  ] as const) {
    const { rescuer, state } = makeRescuer();
    state.hearsAlarm = hearsAlarm;
    rescuer.start();
    await settle();
    state.invalid = 1;
    mock.timers.tick(gap - 1);
    await settle();
    t.equal(state.reads, 0);
    mock.timers.tick(1);
    await settle();
    t.equal(state.reads, 1);
    rescuer.stop();
  }
});

t.test('what is noted when it starts is read: a checker before it may have been killed', async (t) => {
  const { rescuer, state } = makeRescuer();
  state.invalid = 3;
  rescuer.start();
  await settle();
  t.equal(state.reads, 1);
  rescuer.stop();
});

t.test('a namespace that cannot be seen for a while is no error, and looks go on', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { rescuer, state } = makeRescuer();
  t.teardown(() => rescuer.stop());
  state.hearsAlarm = false;
  state.invalid = new Error('nobody is in it');
  rescuer.start();
  rescuer.alarm();
  await new Promise(setImmediate);
  state.invalid = 7;
  const before = state.reads;
  mock.timers.tick(1000);
  await new Promise(setImmediate);
  t.equal(state.reads, before + 1);
});
