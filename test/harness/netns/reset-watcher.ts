// The agent's watch of resets as a program. Each line on standard input is the JSON list of the pods that are guarded now,
// or `counts`, which prints the counts. The first list starts the watch.
import { createInterface } from 'node:readline';
import { makeLog } from '../../../lib/log.ts';
import { ResetWatch } from '../../../node-agent/resets/reset-watch.ts';
import type { WatchedNamespace } from '../../../node-agent/resets/watched-namespace.ts';

/** A pod, with a process that runs in it. */
export type WatchedPod = Omit<WatchedNamespace, 'netPath'> & { pid: number };

let pods: WatchedPod[] | undefined;

const watch = new ResetWatch({
  namespaces: () => (pods ?? []).map(({ pid, ...pod }) => ({ ...pod, netPath: (file) => `/proc/${pid}/net/${file}` })),
  log: makeLog('agent', (line) => process.stdout.write(line)),
  now: () => performance.now(),
  instance: process.argv[2] ?? 'invalid-drop-test',
});

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'counts')
    return void process.stdout.write(`${JSON.stringify({ event: 'counts', ...watch.counts() })}\n`);
  const isFirst = pods === undefined;
  pods = JSON.parse(line) as WatchedPod[];
  if (isFirst) void watch.start();
});
process.once('SIGTERM', () => void watch.stop().then(() => process.exit(0)));
