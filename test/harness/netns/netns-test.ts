// Tests that need root and the kernel's netfilter. Elsewhere they are skipped with a message; in CI they then fail.
import t, { type Test } from 'tap';
import { missing } from './kernel-requirements.ts';
import { addPair, type Pair, removeAll, sweep } from './network-namespaces.ts';
import { killAll, stopAll } from './processes.ts';

/**
 * A test with a fresh pair of namespaces, which are removed at its end with all that runs in them.
 * @param why it cannot run here, or undefined where it can
 */
export function kernelTest(name: string, body: (t: Test, pair: Pair) => Promise<void>, why = missing()): void {
  if (why && !process.env['CI']) process.stderr.write(`SKIPPED kernel test "${name}": ${why}\n`);
  t.test(name, { skip: why && !process.env['CI'] ? why : false }, async (t) => {
    if (why) throw new Error(`kernel tests must run in CI: ${why}`);
    const pair = await addPair();
    t.teardown(async () => {
      await stopAll();
      await pair.remove();
    });
    await body(t, pair);
  });
}

t.before(sweep);
process.once('exit', () => {
  killAll();
  removeAll();
});
// `on`, not `once`: a second signal would otherwise end the process inside its exit handler.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
