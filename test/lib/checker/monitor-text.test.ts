import t from 'tap';
import { makeMonitorParser } from '../../../lib/checker/nft-monitor.ts';

// As nft 1.0.6 prints it on Linux 6.18.
const TEXT = `delete rule ip mangle PREROUTING handle 2
insert rule ip mangle PREROUTING meta l4proto tcp ct state invalid counter packets 0 bytes 0 drop
# new generation 42 by process 6153 (iptables-nft-re)
delete table ip mangle
# new generation 43 by process 6155 (nft)
`;

t.test('each generation is one change, with who made it and what it did', async (t) => {
  const { changes } = makeMonitorParser()(TEXT);
  t.match(changes, [
    { process: 'iptables-nft-re', pid: 6153, lines: [/^delete rule/, /^insert rule/] },
    { process: 'nft', pid: 6155, lines: ['delete table ip mangle'] },
  ]);
});

t.test('pieces of any size give the same changes', async (t) => {
  for (const size of [1, 7, 64]) {
    const parse = makeMonitorParser();
    const pieces = TEXT.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    const { changes } = makeMonitorParser()(TEXT);
    t.same(
      pieces.flatMap((piece) => parse(piece).changes),
      changes,
      `${size} characters at a time`,
    );
  }
});

// As xtables-monitor of iptables 1.8.9 prints it.
const EVENTS = ` EVENT: nft: NEW table: table foo inet flags 0 use 0 handle 8
NEWGEN: GENID=20 PID=5737 NAME=nft
 EVENT: 
 EVENT: -4 -t mangle -A PREROUTING -p tcp -j ACCEPT
NEWGEN: GENID=26 PID=5743 NAME=iptables-nft
`;

t.test('xtables-monitor tells of each change too', async (t) => {
  const { changes, alarm } = makeMonitorParser()(EVENTS);
  t.same(changes, [
    { process: 'nft', pid: 5737, lines: ['nft: NEW table: table foo inet flags 0 use 0 handle 8'] },
    { process: 'iptables-nft', pid: 5743, lines: ['-4 -t mangle -A PREROUTING -p tcp -j ACCEPT'] },
  ]);
  t.equal(alarm, false);
});

t.test('of a very long line the beginning is kept, however it comes', async (t) => {
  const parse = makeMonitorParser();
  for (let i = 0; i < 100; i++) parse('x'.repeat(1000));
  const [change] = parse(`\n${'y'.repeat(9000)}\n# new generation 8 by process 1 (nft)\n`).changes;
  t.same(change, { process: 'nft', pid: 1, lines: ['x'.repeat(2000), 'y'.repeat(2000)] });
});

t.test('a kernel that does not name the process gives null, and a long change is cut', async (t) => {
  const lines = Array.from({ length: 50 }, (_, i) => `add rule ip filter INPUT handle ${i}\n`).join('');
  const [change] = makeMonitorParser()(`${lines}# new generation 7\n`).changes;
  t.match(change, { process: null, pid: null });
  t.equal(change?.lines.length, 5);
});

t.test('a process may have any name', async (t) => {
  const changesOf = (name: string) => makeMonitorParser()(`# new generation 7 by process 1 (${name})\n`).changes;
  t.match(changesOf('a (b) c'), [{ process: 'a (b) c', pid: 1 }]);
  t.match(changesOf(''), [{ process: '', pid: 1 }]);
  t.match(changesOf('a\nb'), [{ process: 'a', pid: 1 }], 'a line end in it hides no change');
  t.match(changesOf('a\n# new gen'), [{ process: 'a', pid: 1 }]);
});

t.test('the alarm is told apart from changes, and from the table that is put in', async (t) => {
  // As nft 0.9.8, 1.0.6 and 1.1.3 print it.
  const raised = 'add quota ip invalid-drop alarm { over 1 bytes used 1 bytes } \n';
  t.same(makeMonitorParser()(raised), { changes: [], alarm: true });
  t.match(makeMonitorParser()(`${raised}${TEXT}`), { changes: [{ lines: [/^delete rule/, /^insert rule/] }, {}] });
  const parse = makeMonitorParser();
  t.same(parse(raised.slice(0, 20)), { changes: [], alarm: false });
  t.same(parse(raised.slice(20)), { changes: [], alarm: true });
  t.match(makeMonitorParser()('add quota inet invalid-drop alarm { over 1 bytes } \n'), { alarm: false });
  t.match(makeMonitorParser()('add quota ip other alarm { over 1 bytes used 1 bytes } \n'), { alarm: false });
});

t.test('changes that the kernel had no room for are a change', async (t) => {
  const { changes } = makeMonitorParser()('add table ip other\n# ERROR: We lost some netlink events!\n');
  t.match(changes, [{ process: null, pid: null, lines: [/lost some netlink events/] }]);
});
