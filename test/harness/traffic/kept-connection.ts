// The client that keeps one connection: `kept-connection.ts HOST`, then a line on standard input for each thing to do.
//   open    connects anew and prints `open LOCALPORT`
//   send    sends a small request and prints `answered SENT RECEIVED`: bytes of this connection so far, both ways
// A connection that ends prints `lost CODE`. Before each is the number of the line that it answers, from 1.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [host = ''] = process.argv.slice(2);
const REQUEST = 'PUT /object HTTP/1.1\r\nHost: pod\r\nContent-Length: 1\r\n\r\nx';
/** The last bytes of the application's answer, which is chunked. */
const LAST = '0\r\n\r\n';
let asked = 0;
const print = (line: string) => process.stdout.write(`${asked} ${line}\n`);
let socket: Socket | undefined;
/** Why the connection ended, or will have: a line that comes later is told too. */
let code = 'closed';

function open(): void {
  socket?.removeAllListeners('close').destroy();
  const opened = connect({ host, port: 9000, noDelay: true });
  socket = opened;
  let answer = '';
  code = 'closed';
  opened.on('connect', () => print(`open ${opened.localPort}`));
  opened.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? error.message;
  });
  opened.on('close', () => print(`lost ${code}`));
  opened.setEncoding('latin1').on('data', (text) => {
    answer += text;
    if (!/\r\n\r\n.*\}/s.test(answer)) return;
    if (/transfer-encoding: chunked/i.test(answer) && !answer.endsWith(LAST)) return;
    answer = '';
    print(`answered ${opened.bytesWritten} ${opened.bytesRead}`);
  });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  asked++;
  if (line === 'open') open();
  else if (socket?.writable) socket.write(REQUEST);
  else print(`lost ${code}`);
});
