// Connects on command: a line `HOST PORT LOCALPORT` opens, `close` drops all and is answered with a line. The SYN
// leaves within connect().
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const open = new Set<Socket>();

/** Sends a SYN; answers are ignored. */
export function sendSyn(host: string, port: number, localPort: number): void {
  const socket = connect({ host, port, localPort });
  socket.on('error', () => undefined);
  open.add(socket);
}

/** Drops every connection, so that its local port is free again. */
export function closeAll(): void {
  for (const socket of open) socket.destroy();
  open.clear();
}

if (import.meta.main) {
  const commands = createInterface({ input: process.stdin });
  commands.on('close', closeAll);
  commands.on('line', (line) => {
    const [host = '', port, localPort] = line.split(' ');
    if (host !== 'close') return sendSyn(host, Number(port), Number(localPort));
    closeAll();
    // The sockets are closed once this turn's handles are.
    setImmediate(() => process.stdout.write('closed\n'));
  });
}
