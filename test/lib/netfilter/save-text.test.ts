import t from 'tap';
import { splitLines, tokenize } from '../../../lib/netfilter/iptables-save.ts';

const LINES: [name: string, text: string, lines: string[]][] = [
  ['lines end at line ends', 'a b\n\n c \nd', ['a b', 'c', 'd']],
  ['a quoted value may hold line ends', '-m "a\n-A b" -j\nc', ['-m "a\n-A b" -j', 'c']],
  ['an escaped quote does not end the value', '-m "a\\"\nb" c\nd', ['-m "a\\"\nb" c', 'd']],
  ['an escaped backslash before the quote does', '-m "a\\\\" b\nc', ['-m "a\\\\" b', 'c']],
  ['a quote within a word is no quotation', 'a"b\nc"d', ['a"b', 'c"d']],
  ['a quote without an end is no quotation', 'a "b\nc', ['a "b', 'c']],
];

for (const [name, text, lines] of LINES) t.test(name, async (t) => t.strictSame(splitLines(text), lines));

t.test('words lose their quotes and escapes, and say that they had them', async (t) => {
  t.strictSame(tokenize('-m "a \\"b\\" \\\\" "!" ! "" c"d'), [
    { text: '-m', quoted: false },
    { text: 'a "b" \\', quoted: true },
    { text: '!', quoted: true },
    { text: '!', quoted: false },
    { text: '', quoted: true },
    { text: 'c"d', quoted: false },
  ]);
});
