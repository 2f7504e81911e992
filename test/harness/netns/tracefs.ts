// tracefs of this machine: mounted for one program, so that nothing is mounted when it has ended.
import { must } from './processes.ts';

/** Runs what follows it with tracefs mounted where systemd has it. For `sh -c`, with the program as arguments. */
export const WITH_TRACEFS = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"';

/** Names of the instances that there are now. */
export async function listInstances(): Promise<string[]> {
  const list = ['sh', '-c', WITH_TRACEFS, 'sh', 'ls', '/sys/kernel/tracing/instances'];
  return (await must('unshare', ['--mount', '--propagation', 'private', ...list])).split('\n');
}
