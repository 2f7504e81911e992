// Asks the checker whether the pod is ready, over loopback, which Istio does not redirect for another uid than 1337.
import { connect } from 'node:net';

/** Characters of an answer that are read, and of its reason that are told: another program may have the port. */
const [MOST_READ, MOST_TOLD] = [4096, 300];

/**
 * Asks /readyz. A bare socket: an HTTP client would double the time that this process takes every few seconds.
 * @param port the checker's
 * @param timeout milliseconds for all of it
 * @returns why the checker is not ready: a line as it was sent; undefined where it answers 200
 */
export function askNotReady(port: number, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    let failure = 'it gave no answer';
    const socket = connect({ host: '127.0.0.1', port });
    const timer = setTimeout(() => socket.destroy(), timeout);
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
      if (answer.length > MOST_READ) socket.destroy();
    });
    socket.on('error', ({ message }) => {
      failure = message;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(/^HTTP\/1\.1 200 /.test(answer) ? undefined : (reasonIn(answer) ?? failure));
    });
    socket.end('GET /readyz HTTP/1.0\r\n\r\n');
  });
}

/** The first line of the body; the status where there is none. */
function reasonIn(answer: string): string | undefined {
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
  const line = [body, head].map((text) => text.trim().split(/\r?\n/, 1)[0]).find((text) => text !== '');
  return line?.slice(0, MOST_TOLD);
}
