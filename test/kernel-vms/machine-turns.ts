// Lets no more machines run at a time than there are processors, by pausing them through qemu's monitor.

import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';

/** A machine with one processor. From `pause` to `resume` it stands still, and its clock too. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** Milliseconds until the next machine's turn. */
const SLICE = 300;

/**
 * Lets no more machines run at a time than there are processors. Three emulated machines that the scheduler moves
 * between two processors take half as much processor time again for the same work.
 */
export class Processors {
  private readonly count: number;
  /** Those at the front run. */
  private readonly queue: Pausable[] = [];

  constructor(count: number) {
    this.count = count;
  }

  /** The machine takes its turns from now on. Returns what ends that. */
  enter(machine: Pausable): () => void {
    this.queue.push(machine);
    this.deal();
    return () => {
      this.queue.splice(this.queue.indexOf(machine), 1);
      this.deal();
    };
  }

  /** The machine that has run for longest is paused, if another waits. */
  turn(): void {
    const first = this.queue.length > this.count ? this.queue.shift() : undefined;
    if (!first) return;
    this.queue.push(first);
    this.deal();
  }

  private deal(): void {
    for (const [place, machine] of this.queue.entries()) {
      if (place < this.count) machine.resume();
      else machine.pause();
    }
  }
}

/** This machine's processors, with a turn every SLICE. */
export function ownProcessors(): Processors {
  const processors = new Processors(availableParallelism());
  setInterval(() => processors.turn(), SLICE).unref();
  return processors;
}

/** Pauses a machine through its monitor (qemu's QMP). The monitor's answers are not read. */
export function monitorOf(socket: Socket): Pausable {
  // A machine that is killed resets the connection.
  socket.on('error', () => undefined).resume();
  const say = (execute: string) => {
    if (socket.writable) socket.write(`${JSON.stringify({ execute })}\n`);
  };
  say('qmp_capabilities');
  return { pause: () => say('stop'), resume: () => say('cont') };
}
