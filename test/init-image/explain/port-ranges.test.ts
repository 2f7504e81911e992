import t from 'tap';
import { cutPorts, includesPort, joinPorts, otherPorts, portsText } from '../../../init-image/explain/redirection.ts';

t.test('ports are cut where a condition begins and ends, and nowhere else', async (t) => {
  t.same(cutPorts([80, { from: 9000, to: 9100 }, 'x']), [
    { from: 1, to: 79 },
    { from: 80, to: 80 },
    { from: 81, to: 8999 },
    { from: 9000, to: 9100 },
    { from: 9101, to: 65_535 },
  ]);
  t.same(cutPorts([{ from: 0, to: 65_535 }]), [{ from: 1, to: 65_535 }]);
});

t.test('ranges that touch are joined, and the rest is what is between them', async (t) => {
  const joined = joinPorts([
    { from: 1, to: 5 },
    { from: 6, to: 9 },
    { from: 11, to: 65_535 },
  ]);
  t.same(joined, [
    { from: 1, to: 9 },
    { from: 11, to: 65_535 },
  ]);
  t.same(otherPorts(joined), [{ from: 10, to: 10 }]);
  t.same([includesPort(joined, 9), includesPort(joined, 10)], [true, false]);
});

t.test('ports are told by the shorter list, and long lists are cut', async (t) => {
  t.equal(portsText([]), 'none');
  t.equal(portsText([{ from: 1, to: 65_535 }]), 'all');
  t.equal(portsText([{ from: 2, to: 65_535 }]), 'all but 1');
  const many = Array.from({ length: 20 }, (_, i) => ({ from: 2 * i + 1, to: 2 * i + 1 }));
  t.match(portsText(many), /, 23 and 8 more$/);
});
