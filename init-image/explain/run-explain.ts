// check --explain as a program: what it reads, where it writes, and what ends it.
import { makeRulesetReader } from '../../lib/netfilter/ruleset-reader.ts';
import { isOnNode } from '../../lib/resets/node-namespaces.ts';
import type { CheckValues } from '../program-options.ts';
import { explain } from './explain.ts';
import { watchNode } from './node/watch-node.ts';
import { readStrayEvidence } from './stray-evidence.ts';

/**
 * On a terminal it shows its progress; Ctrl-C ends the watch early, with an answer.
 * @param node whether it was told that it runs on a node
 * @returns the exit code
 */
export function runExplain(values: CheckValues, json: boolean, node: boolean): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  // The reader of the output has gone, as with | head: what was made for the watch is removed all the same.
  process.stdout.on('error', () => stop.abort());
  const options = {
    seconds: values.seconds,
    json,
    write: (text: string) => process.stdout.write(text),
    progress: process.stderr.isTTY ? (text: string) => process.stderr.write(text) : undefined,
    stop: stop.signal,
  };
  if (node || isOnNode()) return watchNode({ ...options, pid: process.pid });
  const timeout = values['command-timeout'] * 1000;
  const readStrays = () => readStrayEvidence(values.port, timeout);
  return explain({ ...options, read: makeRulesetReader(timeout, undefined, undefined, true), readStrays });
}
