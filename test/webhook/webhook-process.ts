import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { until } from '../harness/wait-until.ts';

const MAIN = fileURLToPath(new URL('../../webhook/main.ts', import.meta.url));

export interface WebhookProcess {
  child: ChildProcess;
  port: number;
  metricsPort: number;
  /** PEM, as the process wrote it. */
  ca: string;
  /** Log lines so far. */
  lines: Record<string, unknown>[];
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
}

/** Runs the program until it ends by itself. */
export async function runWebhook(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { timeout: 20_000, killSignal: 'SIGKILL' });
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    once(child, 'close'),
  ]);
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}

/** Starts the program on free ports, and waits until it serves. It is gone when the test ends. */
export async function startWebhook(t: Test, ...args: string[]): Promise<WebhookProcess> {
  const caFile = join(t.testdir({}), 'ca.pem');
  const child = spawn(process.execPath, [MAIN, '--port=0', '--metrics-port=0', `--ca-file=${caFile}`, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const lines: Record<string, unknown>[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line)));
  const serving = () => lines.find((line) => line['msg'] === 'serving');
  await until('the webhook serves', () => serving() !== undefined);
  const { port, metricsPort } = serving() as { port: number; metricsPort: number };
  return { child, port, metricsPort, ca: readFileSync(caFile, 'utf8'), lines, ended };
}

/** Status of a path on the plain port; 0 where nobody listens any more. */
export function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on('error', () => resolve(0));
  });
}
