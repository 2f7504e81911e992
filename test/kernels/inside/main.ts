// Runs in the guest: one test file after the other, each a subtest of one report on standard output.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import type { Orders } from '../guest.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

async function runFile(file: string, { env, limit }: Orders): Promise<boolean> {
  const options = { timeout: limit, killSignal: 'SIGKILL' } as const;
  const child = spawn(process.execPath, [file], {
    ...options,
    env: { ...process.env, CI: 'true', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== 'TAP version 14') print(`    ${line}`);
  }
  await ended;
  return child.exitCode === 0;
}

const orders = JSON.parse(await readFile('orders.json', 'utf8')) as Orders;
print('TAP version 14');
print(`# kernel ${release()}`);
for (const [i, file] of orders.files.entries()) {
  print(`# Subtest: ${file}`);
  const started = Date.now();
  const ok = await runFile(file, orders);
  print(`${ok ? '' : 'not '}ok ${i + 1} - ${file} # time=${Date.now() - started}ms`);
}
print(`1..${orders.files.length}`);
