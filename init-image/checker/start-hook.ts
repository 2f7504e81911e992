// Lets the postStart hook end, which waits at a FIFO of the image until somebody writes to it (WAIT_COMMAND in lib/contract.ts).
//
// A FIFO works however early or late the hook comes, and costs no CPU while it waits. Each container has one of its own, as of
// every file of its image, and it can be written on a read-only file system. It is opened when the pod is guarded, not before:
// where a checker ends without that, its hook still waits for a first writer, and is ended with the container.
import { constants, openSync, statSync, writeSync } from 'node:fs';
import { errors } from '../../lib/errors.ts';

/** A byte for each hook that may come: one, and those of people who try it. */
const MANY = '\n'.repeat(64);

/**
 * @param path of the FIFO; outside the image there is none, and nobody waits
 * @returns a function that lets the hook end, to be called when the pod is guarded
 * @throws CodedError HOOK_UNHEARD where something else is there, at which no hook waits
 */
export function startHook(path: string): () => void {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return () => undefined;
  if (!file.isFIFO()) throw errors.HOOK_UNHEARD(path);
  // It stays open: a hook that comes later finds a byte.
  return () => void writeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK), MANY);
}
