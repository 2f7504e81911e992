// Clients that harm a server of pages: `hostile-clients.ts HOST PORT KIND COUNT`. It holds COUNT connections, opens each
// anew that the server ends, reads nothing, and prints a line once all have been opened. It runs until it is stopped.
import { connect } from 'node:net';

const [host = '', port, kind = '', count] = process.argv.slice(2);
const REQUEST = `GET /selfcheck HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
/** Milliseconds. */
const PAUSE = 20;

/** What each connection sends. */
const SENT: Record<string, string> = {
  silent: '',
  half: REQUEST.slice(0, 20),
  unread: REQUEST,
  pipelined: REQUEST.repeat(10_000),
};

let opened = 0;

function open(): void {
  const socket = connect({ host, port: Number(port) }).pause();
  socket.on('error', () => undefined);
  socket.on('close', () => setTimeout(open, PAUSE));
  socket.on('connect', () => {
    // Without a reader the end of the connection is seen only when it is written to.
    const writer = setInterval(() => socket.write('x'), 1000);
    socket.on('close', () => clearInterval(writer));
    opened += 1;
    if (opened === Number(count)) process.stdout.write('holding\n');
    const text = SENT[kind] ?? '';
    if (text !== '') socket.write(text);
  });
}

for (let index = 0; index < Number(count); index++) open();
