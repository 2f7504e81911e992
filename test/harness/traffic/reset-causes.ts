// A server and a client; each kind of the two ends a connection in another way. `reset-causes.ts serve PORT KIND`
// prints `ready`; `reset-causes.ts call HOST PORT KIND` prints what became of the connection. A caller of kind `unnoticed`
// does not hear of the connection's end and sends more when it is told to. `reset-causes.ts storm HOST PORT COUNT` opens
// connections one after the other, and prints how many were reset.
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';

/** What the server does with a connection, once a byte has come. */
const SERVERS: Record<string, (socket: Socket) => void> = {
  /** Closes with data unread: it reads nothing, and waits until the kernel holds some. */
  unread: (socket) => {
    socket.pause();
    waitUntil(
      () => holdsUnread(socket.localPort ?? 0),
      () => socket.destroy(),
    );
  },
  /** Aborts: SO_LINGER 0, then close. */
  abort: (socket) => socket.once('data', () => socket.resetAndDestroy()),
  /** Closes in order; the client then sends more. */
  late: (socket) => socket.once('data', () => socket.destroy()),
};

/** Asks every few milliseconds, for a minute at most. */
function waitUntil(holds: () => boolean, then: () => void, tries = 12_000): void {
  if (holds()) then();
  else if (tries > 0) setTimeout(waitUntil, 5, holds, then, tries - 1);
}

/** Whether a connection of the port has bytes in its receive queue: the last part of column 5 of /proc/net/tcp. */
function holdsUnread(port: number): boolean {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n'));
  return lines.some((line) => {
    const [, local = '', , state, queues = ''] = line.trim().split(/\s+/);
    return local.endsWith(hex) && state === '01' && !queues.endsWith(':00000000');
  });
}

function serve(port: number, kind: string): void {
  const server = createServer({ pauseOnConnect: kind === 'unread' }, (socket) => {
    socket.on('error', () => undefined);
    SERVERS[kind]?.(socket);
  });
  server.listen(port, () => process.stdout.write('ready\n'));
}

/** A line on standard input tells. */
function sendMoreWhenTold(socket: Socket): void {
  process.stdout.write('waits\n');
  process.stdin.once('data', () => {
    process.stdin.destroy();
    socket.write('more');
  });
}

function call(host: string, port: number, kind: string): void {
  const socket = connect({ host, port, allowHalfOpen: true }, () => socket.write('x'));
  let error = 'none';
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message;
  });
  socket.on('data', () => socket.destroy());
  if (kind === 'unnoticed') sendMoreWhenTold(socket);
  socket.on('end', () => (kind === 'late' ? sendMoreWhenTold(socket) : socket.destroy()));
  socket.on('close', () => process.stdout.write(`${error}\n`));
}

/** Opens some connections at the same time, and a next one where one ends. */
function storm(host: string, port: number, count: number): void {
  let [left, resets, open] = [count, 0, 0];
  const next = (): void => {
    if (left-- <= 0) return void (open === 0 && process.stdout.write(`${resets}\n`));
    open++;
    const socket = connect({ host, port }, () => socket.write('x'));
    socket.on('error', () => resets++);
    socket.on('close', () => {
      open--;
      next();
    });
  };
  for (let i = 0; i < 20; i++) next();
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'serve') serve(Number(rest[0]), rest[1] ?? '');
else if (what === 'storm') storm(rest[0] ?? '', Number(rest[1]), Number(rest[2]));
else call(rest[0] ?? '', Number(rest[1]), rest[2] ?? '');
