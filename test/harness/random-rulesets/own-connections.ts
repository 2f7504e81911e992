// Established connections of the pod that are there before the first ruleset and stay, and INVALID segments of them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { OWN_PROBES, type Probe } from './probes.ts';

const SENDER = fileURLToPath(new URL('own-connections.pl', import.meta.url));

export interface OwnConnections {
  /** Sends one segment on each; some milliseconds may pass before it leaves. */
  send(): void;
  end(): void;
}

/**
 * Opens them, from inside the pod's namespace, and has its sockets answer every segment.
 * @param enterGateway words that run what follows them in the gateway's namespace
 */
export async function openOwnConnections(enterGateway: string[], timeout: number): Promise<OwnConnections> {
  // By default a socket answers such segments twice a second only.
  writeFileSync('/proc/sys/net/ipv4/tcp_invalid_ratelimit', '0');
  const signal = AbortSignal.timeout(timeout);
  const accepted: Socket[] = [];
  const servers = OWN_PROBES.map(({ packet }) =>
    createServer((socket) => {
      accepted.push(socket);
      socket.once('error', (cause) => {
        throw new Error(`the connection to port ${packet.destinationPort} did not stay`, { cause });
      });
    }).listen(packet.destinationPort),
  );
  const connected = servers.map((server) => once(server, 'connection', { signal }));
  await Promise.all(servers.map((server) => once(server, 'listening', { signal })));
  const senders = [startSender('gateway', enterGateway), startSender('pod', [])];
  const opened = senders.map((sender) => (sender.stdout ? once(sender.stdout, 'data', { signal }) : undefined));
  await Promise.all([...connected, ...opened]);
  return {
    send: () => {
      for (const { stdin } of senders) stdin?.write('\n');
    },
    end: () => {
      for (const { stdin } of senders) stdin?.end();
      for (const socket of accepted) socket.destroy();
      for (const server of servers) server.close();
    },
  };
}

function startSender(from: Probe['from'], enter: string[]): ChildProcess {
  const own = OWN_PROBES.filter((probe) => probe.from === from);
  const targets = own.flatMap(({ host, localPort, packet }) => [host, packet.destinationPort, localPort].map(String));
  const [command = '', ...args] = [...enter, 'perl', SENDER, ...targets];
  return spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
}
