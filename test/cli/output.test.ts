import { loadYaml } from '@kubernetes/client-node';
import t from 'tap';
import { formatResult } from '../../cli/output.ts';

const HOSTILE = {
  name: 'a\u001b[2Jb\u202ec\u009bd\ne',
  list: ['- x', 'y: z', '', 'true'],
  none: undefined,
  zero: null,
};

t.test('JSON and YAML are the same value, and have nothing that a terminal obeys', async (t) => {
  const wanted = JSON.parse(JSON.stringify(HOSTILE));
  for (const [format, read] of [
    ['json', JSON.parse],
    ['yaml', loadYaml],
  ] as const) {
    const text = await formatResult(format, HOSTILE, () => 'unused');
    t.strictSame(read(text), wanted, format);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    t.notMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, format);
    t.match(text, /\n$/, format);
  }
});

t.test('a table is told whether it is wide', async (t) => {
  const text = (wide: boolean) => `wide: ${wide}\u001b\n`;
  t.equal(await formatResult('table', {}, text), 'wide: false\\u001b\n');
  t.equal(await formatResult('wide', {}, text), 'wide: true\\u001b\n');
});
