import t from 'tap';
import { makeMonitorParser } from '../../../init-image/checker/nft-monitor.ts';

// As nft 1.0.6 prints it on Linux 6.18.
const TEXT = `delete rule ip mangle PREROUTING handle 2
insert rule ip mangle PREROUTING meta l4proto tcp ct state invalid counter packets 0 bytes 0 drop
# new generation 42 by process 6153 (iptables-nft-re)
delete table ip mangle
# new generation 43 by process 6155 (nft)
`;

t.test('each generation is one change, with who made it and what it did', async (t) => {
  const changes = makeMonitorParser()(TEXT);
  t.match(changes, [
    { process: 'iptables-nft-re', pid: 6153, lines: [/^delete rule/, /^insert rule/] },
    { process: 'nft', pid: 6155, lines: ['delete table ip mangle'] },
  ]);
});

t.test('pieces of any size give the same changes', async (t) => {
  for (const size of [1, 7, 64]) {
    const parse = makeMonitorParser();
    const pieces = TEXT.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    t.same(pieces.flatMap(parse), makeMonitorParser()(TEXT), `${size} characters at a time`);
  }
});

t.test('a kernel that does not name the process gives null, and a long change is cut', async (t) => {
  const lines = Array.from({ length: 50 }, (_, i) => `add rule ip filter INPUT handle ${i}\n`).join('');
  const [change] = makeMonitorParser()(`${lines}# new generation 7\n`);
  t.match(change, { process: null, pid: null });
  t.equal(change?.lines.length, 5);
});

t.test('a process may have any name', async (t) => {
  t.match(makeMonitorParser()('# new generation 7 by process 1 (a (b) c)\n'), [{ process: 'a (b) c', pid: 1 }]);
});
