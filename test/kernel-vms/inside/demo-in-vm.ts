// The short form of the demo, as a test.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Program, patient } from '../../harness/netns/processes.ts';

const DEMO = fileURLToPath(new URL('../../../demo/demo.ts', import.meta.url));
/** Less than a program may run at all. */
const LIMIT = patient(290_000);

t.test('the demo: connections are reset without the rule, and all are fine with the whole cure', async (t) => {
  const demo = new Program(process.execPath, [DEMO, '--short']);
  // As they come: a guest that says nothing for long is taken for one that hangs.
  if (demo.child.stdout) createInterface({ input: demo.child.stdout }).on('line', (line) => t.comment(line));
  const { exitCode, stderr } = await demo.end(LIMIT);
  t.equal(exitCode, 0, stderr);
});
