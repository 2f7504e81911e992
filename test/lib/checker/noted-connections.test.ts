import t from 'tap';
import { forgetNotes, type NotedConnection, parseNotes, readNotes } from '../../../lib/checker/noted-connections.ts';

const rule = (expr: unknown[]) => ({ rule: { family: 'inet', table: 'invalid-drop', chain: 'stray', expr } });
const set = (name: string, elem: unknown[]) => ({ set: { family: 'inet', name, table: 'invalid-drop', elem } });
const noted = (concat: unknown[], packets: number) => ({
  elem: { val: { concat }, expires: 59, counter: { packets, bytes: 40 * packets } },
});
const ANSWER = {
  ...{ source: '10.0.0.2', sourcePort: 15_006, destination: '10.0.0.1', destinationPort: 40_002 },
  outgoing: true,
};
const LISTING = JSON.stringify({
  nftables: [
    { metainfo: {} },
    set('strays4', [noted(['10.0.0.1', 40_000, '10.0.0.2', 9000], 3)]),
    set('strays6', [noted(['fd00::1', 40_001, 'fd00::2', 9000], 1)]),
    set('answers4', [noted(['10.0.0.2', 15_006, '10.0.0.1', 40_002], 2)]),
    set('listeners4', [{ concat: ['10.0.0.2', 9000] }]),
    rule([{ counter: { packets: 71, bytes: 3000 } }]),
    rule([{ match: {} }, { counter: { packets: 5, bytes: 3000 } }, { notrack: null }]),
  ],
});

t.test('connections of both families with their segments, and the sum of all', async (t) => {
  t.same(parseNotes(LISTING), {
    segments: 71,
    connections: [
      { source: '10.0.0.1', sourcePort: 40_000, destination: '10.0.0.2', destinationPort: 9000, segments: 3 },
      { source: 'fd00::1', sourcePort: 40_001, destination: 'fd00::2', destinationPort: 9000, segments: 1 },
      { ...ANSWER, segments: 2 },
    ],
  });
});

t.test('empty sets, and a table of other things', async (t) => {
  t.same(parseNotes('{"nftables": [{"set": {"name": "strays4"}}]}'), { segments: 0, connections: [] });
  t.same(parseNotes('{}'), { segments: 0, connections: [] });
});

t.test('what a reset of the alarm prints comes before the listing', async (t) => {
  const reset = '{"nftables": [{"metainfo": {}}, {"quota": {"name": "alarm", "table": "invalid-drop", "bytes": 1}}]}';
  t.same(parseNotes(`${reset}\n${LISTING}\n`), parseNotes(LISTING));
});

t.test('a table without an alarm is read all the same', async (t) => {
  const commands: string[][] = [];
  const notes = await readNotes(1, async (_command, args) => {
    commands.push(args);
    return { exitCode: commands.length === 1 ? 1 : 0, stdout: LISTING, stderr: 'No such file or directory' };
  });
  t.same(commands, [
    ['-j', 'reset quota inet invalid-drop alarm; list table inet invalid-drop'],
    ['-j', 'list table inet invalid-drop'],
  ]);
  t.equal(notes.connections.length, 3);
});

t.test('what is forgotten goes in as few transactions as fit, and a failure is none of ours', async (t) => {
  const commands: unknown[] = [];
  const forget = (connections: NotedConnection[]) =>
    forgetNotes(connections, 1, async (command, args) => {
      commands.push(command, args);
      throw new Error('gone meanwhile');
    });
  await forget(parseNotes(LISTING).connections);
  t.same(commands, [
    'nft',
    [
      'delete element inet invalid-drop strays4 { 10.0.0.1 . 40000 . 10.0.0.2 . 9000 }\n' +
        'delete element inet invalid-drop strays6 { fd00::1 . 40001 . fd00::2 . 9000 }\n' +
        'delete element inet invalid-drop answers4 { 10.0.0.2 . 15006 . 10.0.0.1 . 40002 }',
    ],
  ]);
  const address = 'fd00:1111:2222:3333:4444:5555:6666:7777';
  const long = { source: address, sourcePort: 65_535, destination: address, destinationPort: 65_535, segments: 1 };
  commands.length = 0;
  await forget(Array.from({ length: 2048 }, () => ({ ...long, outgoing: true })));
  const sizes = commands.flatMap((args) => (Array.isArray(args) ? [String(args[0]).length] : []));
  t.equal(sizes.length, 4);
  t.ok(
    sizes.every((size) => size < 128 * 1024),
    'each fits into an argument',
  );
});

t.test('a table that is missing, and output that is no JSON', async (t) => {
  const printing = (exitCode: number, stdout: string) => async () => ({ exitCode, stdout, stderr: 'No such file' });
  await t.rejects(readNotes(1, printing(1, '')), { code: 'COMMAND_FAILED', message: /No such file/ });
  await t.rejects(readNotes(1, printing(0, '{"nft')), { code: 'NFT_UNREADABLE' });
});
