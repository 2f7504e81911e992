import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { type AskPage, dashboardServer } from '../../../cli/dashboard/dashboard-server.ts';
import { browserOpener } from '../../../cli/dashboard/open-browser.ts';

const headers = { 'content-type': 'text/html', 'content-security-policy': "default-src 'none'", connection: 'close' };
const page: AskPage = async (path) => ({ status: 200, headers, body: `<p>${path}` });

async function serve(t: Test, ask = page): Promise<number> {
  const server = dashboardServer(ask, (error) => `cannot: ${(error as Error).message}`);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

function ask(port: number, path: string, host: string, method = 'GET') {
  return new Promise<{ status: number; headers: IncomingHttpHeaders; body: string }>((resolve, reject) => {
    const call = request(
      { host: '127.0.0.1', port, path, method, headers: { host }, agent: false },
      async (response) => {
        const body = (await response.toArray()).join('');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      },
    );
    call.on('error', reject);
    call.end();
  });
}

t.test('pages pass with their headers, under both names', async (t) => {
  const port = await serve(t);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`]) {
    const answer = await ask(port, '/coverage?namespace=storage', host);
    t.match(answer, { status: 200, body: '<p>/coverage?namespace=storage' }, host);
    t.match(answer.headers, { 'content-type': 'text/html', 'content-security-policy': "default-src 'none'" });
  }
  t.match(await ask(port, '/', `localhost:${port}`, 'HEAD'), { status: 200, body: '' });
});

t.test('a name of another site, or another port, gets nothing', async (t) => {
  let asked = 0;
  const port = await serve(t, (path, accept) => {
    asked += 1;
    return page(path, accept);
  });
  const hosts = ['evil.example', `evil.example:${port}`, `127.0.0.1:${port + 1}`, '127.0.0.1', `[::1]:${port}`];
  for (const host of hosts) t.match(await ask(port, '/', host), { status: 421 }, host);
  t.match(await ask(port, '/', `localhost:${port}`, 'POST'), { status: 405 });
  t.match(await ask(port, 'http://evil.example/', `localhost:${port}`), { status: 400 });
  t.equal(asked, 0, 'the webhook is not asked');
});

t.test('where the webhook does not answer, the page says why, and the server goes on', async (t) => {
  let fails = true;
  const port = await serve(t, async (path, accept) => {
    if (fails) throw new Error('no replica is Ready');
    return page(path, accept);
  });
  t.match(await ask(port, '/', `localhost:${port}`), { status: 502, body: 'cannot: no replica is Ready\n' });
  fails = false;
  t.match(await ask(port, '/', `localhost:${port}`), { status: 200 });
});

t.test('a browser is opened only where there is a screen', async (t) => {
  t.equal(browserOpener('linux', {}), undefined);
  t.strictSame(browserOpener('linux', { DISPLAY: ':0' }), ['xdg-open']);
  t.strictSame(browserOpener('linux', { WAYLAND_DISPLAY: 'wayland-0' }), ['xdg-open']);
  t.strictSame(browserOpener('darwin', {}), ['open']);
});
