// Stands in for a mesh's proxy: `proxy.ts [PORT] [DESCRIPTOR]` takes what is redirected to the port, which is Istio's by
// default, and passes it to the application over loopback. It runs as the uid that the mesh's rules let through.
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

// With a descriptor: a listening socket that is there already.
const [port = '15006', descriptor] = process.argv.slice(2);
const place = descriptor === undefined ? { port: Number(port) } : { fd: Number(descriptor) };
server.listen(place, () => process.stdout.write('ready\n'));
