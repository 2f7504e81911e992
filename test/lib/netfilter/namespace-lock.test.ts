import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { takeNamespaceLock } from '../../../lib/netfilter/namespace-lock.ts';

t.test('one run at a time holds the lock, and the next gets it when it is released', async (t) => {
  const order: string[] = [];
  const work = async (name: string) => {
    const lock = await takeNamespaceLock(30_000);
    t.equal(lock.held, true);
    order.push(`${name} in`);
    await new Promise(setImmediate);
    order.push(`${name} out`);
    lock.release();
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(work));
  for (let i = 0; i < order.length; i += 2) {
    t.equal(order[i]?.split(' ')[0], order[i + 1]?.split(' ')[0], order.join(', '));
  }
});

t.test('a lock that nobody releases is not waited for beyond the limit', async (t) => {
  const first = await takeNamespaceLock(1000);
  const second = await takeNamespaceLock(50);
  t.equal(second.held, false);
  second.release();
  first.release();
  const third = await takeNamespaceLock(1000);
  t.equal(third.held, true);
  third.release();
});

/** Holds the name as a program does that is none of ours. */
async function stranger(t: Test, greet: (socket: Socket) => void): Promise<{ connections: () => number }> {
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket.on('error', () => undefined));
    greet(socket);
  });
  t.teardown(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen({ path: '\0invalid-drop.lock' }, resolve));
  return { connections: () => connections };
}

const STRANGERS: [string, (socket: Socket) => void][] = [
  ['says nothing', () => undefined],
  ['closes each connection at once', (socket) => socket.destroy()],
  ['says something else, without end', (socket) => socket.write('x'.repeat(1000))],
];

for (const [what, greet] of STRANGERS) {
  t.test(`a stranger that ${what} is named, and neither waited for nor asked for long`, async (t) => {
    const { connections } = await stranger(t, greet);
    // Without an end of its own for strangers, the test would time out.
    const lock = await takeNamespaceLock(3_600_000, 1000);
    t.equal(lock.held, false);
    t.equal(lock.holder, `another program (${(await readFile('/proc/self/comm', 'utf8')).trim()}, pid ${process.pid})`);
    t.ok(connections() < 50, `${connections()} connections`);
    lock.release();
  });
}

t.test('one that greets as ours do is asked rarely too, and for no longer than the limit', async (t) => {
  const { connections } = await stranger(t, (socket) => socket.end('invalid-drop\n'));
  const lock = await takeNamespaceLock(1000);
  t.match(lock, { held: false, holder: /^another run of invalid-drop \(/ });
  t.ok(connections() < 50, `${connections()} connections`);
});

t.test('a name that is taken without anybody listening is not waited for either', async (t) => {
  const bind = 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("\\0invalid-drop.lock")) or die $!;';
  const holder = spawn('perl', ['-MSocket', '-e', `$| = 1; ${bind} print "bound"; sleep 600`]);
  t.teardown(() => holder.kill('SIGKILL'));
  t.equal(String((await once(holder.stdout, 'data'))[0]), 'bound');
  const lock = await takeNamespaceLock(3_600_000, 1000);
  t.match(lock, { held: false, holder: `another program (perl, pid ${holder.pid})` });
});
