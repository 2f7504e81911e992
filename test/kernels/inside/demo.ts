// The short form of the demo, as a test.
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { run } from '../../kernel/processes.ts';

const DEMO = fileURLToPath(new URL('../../demo/main.ts', import.meta.url));

t.test('the demo: uploads are reset without the rule, and fine with it', async (t) => {
  const { exitCode, stdout, stderr } = await run(process.execPath, [DEMO, '--short'], { limit: 600_000 });
  for (const line of stdout.split('\n')) t.comment(line);
  t.equal(exitCode, 0, stderr);
});
