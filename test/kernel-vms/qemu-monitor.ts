import type { Socket } from 'node:net';
import type { Pausable } from './processors.ts';

/** Pauses a machine through its monitor (qemu's QMP). What the monitor answers is not looked at. */
export function monitorOf(socket: Socket): Pausable {
  // A machine that is killed resets its end.
  socket.on('error', () => undefined).resume();
  const say = (execute: string) => {
    if (socket.writable) socket.write(`${JSON.stringify({ execute })}\n`);
  };
  say('qmp_capabilities');
  return { pause: () => say('stop'), resume: () => say('cont') };
}
