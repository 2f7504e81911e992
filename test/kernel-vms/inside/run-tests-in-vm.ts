// Runs in the guest: the test files, each a subtest of one report on standard output. Two at a time, for a test mostly
// waits for one program; what the later one prints is held back until the earlier one is done.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import type { Orders } from '../guest.ts';
import { Turns, takeTurns } from '../tap-report.ts';

const AT_ONCE = 2;
const print = (line: string) => process.stdout.write(`${line}\n`);

async function runFile(file: string, { env, limit }: Orders, say: (line: string) => void): Promise<boolean> {
  const child = spawn(process.execPath, [file], {
    timeout: limit,
    killSignal: 'SIGKILL',
    env: { ...process.env, CI: 'true', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== 'TAP version 14') say(`    ${line}`);
  }
  await ended;
  return child.exitCode === 0;
}

const orders = JSON.parse(await readFile('orders.json', 'utf8')) as Orders;
print('TAP version 14');
print(`# kernel ${release()}`);
const turns = new Turns(print);
const runTurn = async (file: string, turn: number) => {
  const say = (line: string) => turns.say(turn, line);
  say(`# Subtest: ${file}`);
  const started = Date.now();
  const ok = await runFile(file, orders, say);
  say(`${ok ? '' : 'not '}ok ${turn + 1} - ${file} # time=${Date.now() - started}ms`);
  turns.end(turn);
};
// Modules that a test loads stay loaded: the test that misses some comes before all others, and alone.
const alone = orders.files.filter((file) => file.includes('missing-modules'));
const others = orders.files.filter((file) => !alone.includes(file));
await takeTurns(alone, 1, runTurn);
await takeTurns(others, AT_ONCE, (file, turn) => runTurn(file, alone.length + turn));
print(`1..${orders.files.length}`);
