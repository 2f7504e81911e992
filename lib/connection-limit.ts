// A bound on a server's connections. Node's own maxConnections refuses the newest one, so that whoever holds all of them
// shuts everybody else out. Here the one that is longest without use is given up for the newest.
import type { Server, Socket } from 'node:net';

/** What is counted: a socket, or the TLS socket over it. */
type Connection = Pick<Socket, 'remoteAddress' | 'remotePort' | 'destroy' | 'once'>;

export interface ConnectionLimit {
  /** Says that a connection is in use: it is then the last one to be given up. */
  used(connection: Connection): void;
  /** Ends all connections at once. */
  destroyAll(): void;
}

/**
 * @param server of TCP, HTTP or TLS
 * @param most connections at a time, those with an unfinished TLS handshake among them
 */
export function limitConnections(server: Server, most: number): ConnectionLimit {
  /** By the peer's address and port, which a socket and the TLS socket over it share. The first is longest without use. */
  const open = new Map<string, Connection>();
  const add = (connection: Connection) => {
    const key = keyOf(connection);
    open.delete(key);
    open.set(key, connection);
    connection.once('close', () => {
      if (open.get(key) === connection) open.delete(key);
    });
    const [oldest] = open;
    if (open.size <= most || oldest === undefined) return;
    open.delete(oldest[0]);
    oldest[1].destroy();
  };
  server.on('connection', add);
  server.on('secureConnection', add);
  return {
    used(connection) {
      const key = keyOf(connection);
      if (open.get(key) !== connection) return;
      open.delete(key);
      open.set(key, connection);
    },
    destroyAll() {
      for (const connection of open.values()) connection.destroy();
    },
  };
}

const keyOf = ({ remoteAddress, remotePort }: Connection) => `${remoteAddress} ${remotePort}`;
