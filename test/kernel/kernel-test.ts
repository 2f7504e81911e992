// Tests that need root and the kernel's netfilter: skipped by name and loudly elsewhere, never in CI.
import { accessSync, constants } from 'node:fs';
import t, { type Test } from 'tap';
import { addPair, type Pair, removeAll, sweep } from './namespaces.ts';
import { stopAll } from './processes.ts';

const PROGRAMS = ['ip', 'nsenter', 'unshare', 'setpriv', 'nft', 'iptables-nft', 'iptables-legacy', 'ip6tables-legacy'];

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why kernel tests cannot run here, or undefined where they can. */
export function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'root is needed';
  const programs = PROGRAMS.filter((program) => !isInstalled(program));
  return programs.length > 0 ? `not installed: ${programs.join(', ')}` : undefined;
}

/** A test with a fresh pair of namespaces, which are removed at its end with all that runs in them. */
export function kernelTest(name: string, body: (t: Test, pair: Pair) => Promise<void>): void {
  const why = missing();
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
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void stopAll()
      .then(removeAll)
      .then(() => process.exit(1));
  });
}
