// Programs that go on after this one has ended, each with a log and a record of its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { Layout } from './layout.ts';
import { writeRecord } from './process-record.ts';

/**
 * Starts a program whose output goes to the log of that name.
 * @param command the program and its arguments
 */
export async function startDaemon(layout: Layout, name: string, command: string[]): Promise<void> {
  const log = await open(`${layout.logs}/${name}.log`, 'a');
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    cwd: '/',
    env: { PATH: environmentPath(layout), HOME: '/root' },
  });
  await once(child, 'spawn');
  await writeRecord(`${layout.pids}/${name}`, child.pid ?? 0);
  child.unref();
  await log.close();
}

/** PATH for what runs in the cluster. */
export function environmentPath({ bin }: Layout): string {
  return [bin, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':');
}
