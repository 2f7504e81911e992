import t from 'tap';
import { CodedError, defineErrors } from '../../lib/errors.ts';
import { makeLog } from '../../lib/log.ts';
import { printable, printableJson, printableLines } from '../../lib/printable.ts';
import { textTable } from '../../lib/text-table.ts';

/** Clears the screen, is another line, is one for a terminal of 8 bits, hides, turns the direction. */
const HOSTILE = 'a\u001b[2Jb\nc\rd\te\u007ff\u009b2Jg\u200bh\u202ei\u2028j\u{e0041}';
const SHOWN = 'a\\u001b[2Jb\\nc\\rd\\te\\u007ff\\u009b2Jg\\u200bh\\u202ei\\u2028j\\udb40\\udc41';

t.test('what a terminal would obey, or not show, is escaped; all else stays', async (t) => {
  t.equal(printable(HOSTILE), SHOWN);
  t.equal(printableLines('one\ntwo\u001b[1A'), 'one\ntwo\\u001b[1A');
  const harmless = 'Grüße "日本" -m comment --comment a\\b €';
  t.equal(printable(harmless), harmless);
});

t.test('as JSON it is the same value, with and without indentation', async (t) => {
  const value = { [HOSTILE]: [HOSTILE] };
  for (const indent of [undefined, 2]) {
    const text = printableJson(value, indent);
    t.strictSame(JSON.parse(text), value);
    t.notMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  }
});

t.test('tables, errors and log lines are printable, whoever wrote what they quote', async (t) => {
  t.equal(
    textTable([
      ['POD', 'WHY'],
      [HOSTILE, 'x'],
    ]).split('\n').length,
    3,
  );
  t.match(textTable([['POD'], [HOSTILE]]), SHOWN);
  const { ODD } = defineErrors({ ODD: (what: string) => `no: ${what}` });
  t.equal(ODD(HOSTILE).message, `no: ${SHOWN}`);
  t.equal(new CodedError('ODD', HOSTILE).message, SHOWN);
  const lines: string[] = [];
  makeLog('check', (line) => lines.push(line))('info', 'drift', { by: HOSTILE });
  t.match(lines.join(''), '\\u009b2Jg');
  t.equal(JSON.parse(lines.join('')).by, HOSTILE);
});
