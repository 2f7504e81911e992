import t from 'tap';
import { helpText, oneOf, optionRows, readOptions, textLike, wholeNumber } from '../../lib/options.ts';

const TABLE = {
  mode: oneOf(['enforce', 'observe'], { env: 'MODE', default: 'enforce', help: 'What to do.' }),
  wait: wholeNumber(1, 300, { env: 'WAIT', default: 30, help: 'How long.' }),
  name: textLike(/^[a-z]+$/, 'lower-case letters', { env: 'NAME', default: 'pod', help: 'Who.' }),
};

t.test('a flag wins over the environment, which wins over the default', async (t) => {
  const { values, given } = readOptions(TABLE, ['--mode=observe', '--once'], { MODE: 'enforce', WAIT: '5' }, [
    'once',
    'help',
  ]);
  t.same(values, { mode: 'observe', wait: 5, name: 'pod' });
  t.same([...given], ['once']);
});

t.test('an empty environment variable counts as not set', async (t) => {
  t.equal(readOptions(TABLE, [], { WAIT: '' }).values.wait, 30);
});

t.test('every wrong option is named with its value and what is allowed', async (t) => {
  const wrong = { MODE: 'strict', WAIT: '0' };
  t.throws(() => readOptions(TABLE, ['--name', 'X'], wrong), {
    code: 'OPTION_INVALID',
    message: /MODE="strict".*enforce or observe.*WAIT="0".*from 1 to 300.*--name="X".*lower-case letters/,
  });
});

t.test('advice on the value stands in the place of what is allowed', async (t) => {
  const even = { ...wholeNumber(0, 9, { env: 'EVEN', default: 2, help: 'A number.' }), parse: () => undefined };
  const advice = (text: string) => (text === '3' ? '2 or 4' : undefined);
  const message = (text: string) => {
    try {
      return readOptions({ even: { ...even, advice } }, [`--even=${text}`], {});
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(message('3'), '--even="3" is not allowed: use 2 or 4');
  t.equal(message('x'), '--even="x" is not allowed: use a whole number from 0 to 9');
});

t.test('numbers are whole, in range and plain', async (t) => {
  for (const text of ['0', '301', '-1', '1.5', '1e2', '0x10', ' 5', 'five', '9'.repeat(30)]) {
    t.throws(() => readOptions(TABLE, [], { WAIT: text }), { code: 'OPTION_INVALID' }, text);
  }
});

t.test('unknown flags, stray words and a flag without its value are refused', async (t) => {
  t.throws(() => readOptions(TABLE, ['--mod', 'observe'], {}), { code: 'OPTION_UNKNOWN', message: /"--mod"/ });
  t.throws(() => readOptions(TABLE, ['observe'], {}), { code: 'OPTION_UNKNOWN', message: /"observe"/ });
  t.throws(() => readOptions(TABLE, ['--'], {}), { code: 'OPTION_UNKNOWN' });
  t.throws(() => readOptions(TABLE, ['--mode'], {}), { code: 'OPTION_INVALID' });
});

t.test('help shows flag, variable, default and allowed values of every option', async (t) => {
  const help = helpText('usage', TABLE);
  for (const row of optionRows(TABLE)) {
    for (const text of [row.flag, row.env, row.default, row.allowed, row.help]) t.match(help, text);
  }
});
