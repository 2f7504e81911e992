import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const MODULE = fileURLToPath(new URL('../../webhook/webhook-log.ts', import.meta.url));
const scriptOf = (body: string) => `
  const { logDestination } = await import(${JSON.stringify(MODULE)});
  const log = logDestination(1);
  ${body}`;

t.test('a process that ends, or that an exception ends, has written all lines in order', async (t) => {
  for (const end of ['process.exit(0)', 'throw new Error("unforeseen")']) {
    const script = scriptOf(`
      for (let i = 0; i < 20000; i++) log.write('{"level":30,"n":' + i + '}\\n');
      ${end};`);
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

t.test('a reader that stalls does not block the process, and what waits is bounded', async (t) => {
  const LINE = 200_000;
  const script = scriptOf(`
    for (let i = 0; i < 50; i++) {
      log.write('x'.repeat(${LINE - 1}) + '\\n');
      await new Promise(setImmediate);
    }
    process.stderr.write('not blocked');`);
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [said] = await once(child.stderr, 'data');
  t.equal(String(said), 'not blocked');
  const lines = (await text(child.stdout)).trimEnd().split('\n');
  t.ok(
    lines.every((line) => line.length === LINE - 1),
    'no line is cut',
  );
  const bytes = lines.length * LINE;
  t.ok(bytes > LINE && bytes < 5_000_000, `${bytes} bytes were kept of ${50 * LINE}`);
});
