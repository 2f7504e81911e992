// Stands in for the sidecar: takes what is redirected to 15006 and passes it to the application over loopback. It runs
// as uid 1337, which Istio's rules let through.
import { connect, createServer, type Socket } from 'node:net';

const server = createServer((inbound) => {
  const outbound = connect({ host: inbound.localAddress?.includes('.') ? '127.0.0.1' : '::1', port: 9000 });
  join(inbound, outbound);
  join(outbound, inbound);
});

function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.destroy());
  from.on('close', () => to.end());
}

// With an argument: a listening socket that is there already, by its file descriptor.
const descriptor = process.argv[2];
const place = descriptor === undefined ? { port: 15006 } : { fd: Number(descriptor) };
server.listen(place, () => process.stdout.write('ready\n'));
