import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { batchLines } from '../../webhook/log-lines.ts';

const MODULE = fileURLToPath(new URL('../../webhook/log-lines.ts', import.meta.url));
const info = (number: number) => `{"level":30,"n":${number}}\n`;
const ERROR = '{"level":50,"msg":"broken"}\n';

t.test('info lines wait, and are written together and in order', (t) => {
  const written: string[] = [];
  const lines = batchLines((text) => {
    written.push(text);
    t.strictSame(written, [info(1) + info(2)]);
    t.end();
    return '';
  }, 5);
  lines.write(info(1));
  lines.write(info(2));
  t.strictSame(written, []);
});

t.test('a line that is worse than info takes along what waits', async (t) => {
  const written: string[] = [];
  const lines = batchLines((text) => {
    written.push(text);
    return '';
  });
  lines.write(info(1));
  lines.write(ERROR);
  t.strictSame(written, [info(1) + ERROR]);
  lines.flush();
  t.equal(written.length, 1, 'and nothing is written twice');
});

t.test('what a full pipe does not take comes first the next time', async (t) => {
  const written: string[] = [];
  let room = 5;
  const lines = batchLines((text) => {
    written.push(text.slice(0, room));
    return text.slice(room);
  });
  lines.write(ERROR);
  room = Number.POSITIVE_INFINITY;
  lines.write(ERROR);
  lines.flush();
  t.equal(written.join(''), ERROR + ERROR);
});

t.test('where nobody reads, what waits does not grow without end', async (t) => {
  let most = 0;
  let isRead = false;
  const lines = batchLines((text) => {
    most = Math.max(most, text.length);
    return isRead ? '' : text;
  });
  for (let i = 0; i < 50; i++) lines.write('x'.repeat(200_000));
  lines.flush();
  isRead = true;
  lines.flush();
  t.ok(most < 5_000_000, String(most));
});

t.test('a process that ends, or that an exception ends, has written all of it', async (t) => {
  for (const end of ['process.exit(0)', 'throw new Error("unforeseen")']) {
    const script = `
      const { batchLines, putInto } = await import(${JSON.stringify(MODULE)});
      const lines = batchLines(putInto(1));
      process.on('exit', lines.flush);
      for (let i = 0; i < 20000; i++) lines.write('{"level":30,"n":' + i + '}\\n');
      ${end};`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const numbers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).n);
    t.strictSame(
      numbers,
      Array.from({ length: 20_000 }, (_, i) => i),
      end,
    );
  }
});
