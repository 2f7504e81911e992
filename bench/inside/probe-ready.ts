// Runs inside a namespace: asks a server on loopback for /readyz again and again, as the kubelet does, each time on a
// connection of its own. Arguments: port, seconds between two times.
import { get } from 'node:http';

const [, , port = '', seconds = ''] = process.argv;

function probe(): void {
  const call = get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
    if (response.statusCode !== 200) process.exitCode = 1;
    response.resume();
  });
  call.on('error', () => process.exit(1));
}

probe();
setInterval(probe, Number(seconds) * 1000);
process.stdout.write('ready\n');
