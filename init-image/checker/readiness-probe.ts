// The exec readiness probe: asks the checker over loopback, which Istio does not redirect for another uid than 1337.
import { connect } from 'node:net';

/**
 * Asks /readyz. A bare socket: an HTTP client would double the time that this process takes every few seconds.
 * @param port the checker's
 * @param timeout milliseconds
 * @returns whether the answer is 200
 */
export function askReady(port: number, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ host: '127.0.0.1', port, timeout });
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(/^HTTP\/1\.1 200 /.test(answer)));
    socket.end('GET /readyz HTTP/1.0\r\n\r\n');
  });
}
