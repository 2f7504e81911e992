import t from 'tap';
import { changeMark, toMark, UNKNOWN_MARK } from '../../../lib/netfilter/packet.ts';

t.test('a mark is known in full or not at all on arrival', async (t) => {
  t.strictSame(toMark(0xffffffff), { value: 0xffffffff, known: 0xffffffff });
  t.strictSame(toMark(undefined), UNKNOWN_MARK);
});

t.test('bits that are set become known, the others stay as they were', async (t) => {
  t.strictSame(changeMark(UNKNOWN_MARK, { and: 0xfffffffc, xor: 2 }), { value: 2, known: 3 });
  t.strictSame(changeMark({ value: 2, known: 3 }, { and: 0xfffffffe, xor: 0x80000001 }), { value: 3, known: 3 });
  t.strictSame(changeMark(toMark(0x80000000), { and: 0x7fffffff, xor: 0 }), toMark(0));
  t.strictSame(changeMark(toMark(5), { and: 0xffffffff, xor: 1 }), toMark(4));
});

t.test('after a change that is not understood nothing is known', async (t) => {
  t.strictSame(changeMark(toMark(5), undefined), UNKNOWN_MARK);
});
