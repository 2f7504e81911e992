// The program as a process: options, signals, and that a stop fails no call.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:tls';
import t from 'tap';
import { until } from '../harness/wait-until.ts';
import { creationOf } from './admission/injection-settings.ts';
import { hostAndPort, reviewOf } from './test-server.ts';
import { runWebhook, startWebhook, statusOf, type WebhookProcess } from './webhook-process.ts';

const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };
const BODY = JSON.stringify(reviewOf(creationOf(POD)));
const POST = { host: '127.0.0.1', path: '/mutate', method: 'POST' };
const HEADERS = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(BODY) };

interface Call {
  status: number;
  connection: string | undefined;
}

/** One admission over the agent's connections. Rejects where the call fails in any way. */
function admission({ port, ca }: WebhookProcess, agent: Agent): Promise<Call> {
  return new Promise((resolve, reject) => {
    const call = request({ ...POST, headers: HEADERS, port, ca, agent }, (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, connection: response.headers.connection }));
    });
    call.on('error', reject);
    call.end(BODY);
  });
}

t.test('SIGTERM under load over kept connections: not ready at once, no call fails, exit 0', async (t) => {
  // On a busy machine a call takes a second, and after the drain nobody answers any more.
  const webhook = await startWebhook(t, '--drain-seconds=20');
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const calls: Call[] = [];
  const failed: unknown[] = [];
  let stop = false;
  const client = async () => {
    while (!stop)
      await admission(webhook, agent).then(
        (call) => calls.push(call),
        (error) => failed.push(error),
      );
  };
  const clients = Array.from({ length: 8 }, client);
  await until('the load runs', () => calls.length > 500);
  t.equal(await statusOf(webhook.metricsPort, '/readyz'), 200);
  webhook.child.kill('SIGTERM');
  await until('not ready', async () => (await statusOf(webhook.metricsPort, '/readyz')) === 503);
  t.equal(await statusOf(webhook.metricsPort, '/healthz'), 200);
  const before = calls.length;
  await until('new connections are served still', () => calls.length > before + 20);
  stop = true;
  await Promise.all(clients);
  agent.destroy();
  t.strictSame(failed, []);
  t.ok(
    calls.every(({ status }) => status === 200),
    `${calls.length} calls`,
  );
  t.ok(
    calls.slice(before).some(({ connection }) => connection === 'close'),
    'clients are asked to leave',
  );
  t.equal(await webhook.ended, 0);
});

t.test('a request that is under way when the server closes is answered', async (t) => {
  const webhook = await startWebhook(t, '--drain-seconds=0');
  const headers = { ...HEADERS, expect: '100-continue' };
  const call = request({ ...POST, headers, port: webhook.port, ca: webhook.ca, agent: false });
  call.flushHeaders();
  await once(call, 'continue');
  webhook.child.kill('SIGTERM');
  await until('the port is closed', async () => (await statusOf(webhook.metricsPort, '/readyz')) === 0);
  call.end(BODY);
  const [response] = await once(call, 'response');
  t.equal(response.statusCode, 200);
  t.match(JSON.parse(Buffer.concat(await response.toArray()).toString()), { response: { allowed: true } });
  t.equal(await webhook.ended, 0);
});

t.test('a request whose head had begun when the server closed is answered', async (t) => {
  const webhook = await startWebhook(t, '--drain-seconds=0');
  const socket = connect({ host: '127.0.0.1', port: webhook.port, ca: webhook.ca });
  let received = '';
  socket.on('data', (data) => {
    received += data;
  });
  const head = `Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ${HEADERS['content-length']}\r\n\r\n`;
  const line = 'POST /mutate HTTP/1.1\r\n';
  // In one write with a whole request, so that the answer to that one shows that the rest has arrived too.
  socket.write(`${line}${head}${BODY}${line}`);
  await until('the first answer', () => received.includes('"allowed":true'));
  webhook.child.kill('SIGTERM');
  await until('the port is closed', async () => (await statusOf(webhook.metricsPort, '/readyz')) === 0);
  received = '';
  socket.write(`${head}${BODY}`);
  await once(socket, 'end');
  t.match(received, /^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*"allowed":true/is);
  t.equal(await webhook.ended, 0);
});

t.test('a second signal ends the process at once', async (t) => {
  const webhook = await startWebhook(t, '--drain-seconds=300');
  webhook.child.kill('SIGTERM');
  await until('draining', () => webhook.lines.some((line) => line['signal'] === 'SIGTERM'));
  webhook.child.kill('SIGTERM');
  t.equal(await webhook.ended, 1);
});

t.test('the log says where the CA is, and holds no key', async (t) => {
  const { lines } = await startWebhook(t);
  t.ok(lines.some((line) => String(line['path']).endsWith('ca.pem')));
  t.notMatch(JSON.stringify(lines), /PRIVATE KEY/);
});

t.test('--help lists every option and ends with 0', async (t) => {
  const { code, stdout } = await runWebhook('--help');
  t.equal(code, 0);
  t.match(stdout, /--listen-address \(INVALID_DROP_LISTEN_ADDRESS\), default "127\.0\.0\.1"/);
});

t.test('wrong values are refused at start, all at once, with exit code 2', async (t) => {
  const { code, stderr, stdout } = await runWebhook('--mode=off', '--port=none');
  t.strictSame([code, stdout], [2, '']);
  t.match(stderr, /--mode="off" is not allowed: use enforce or observe/);
  t.match(stderr, /--port="none" is not allowed: use a whole number from 0 to 65535/);
  t.equal((await runWebhook('--nonsense')).code, 2);
  const hostile = await runWebhook('x\u001b[2J\ny');
  t.match(hostile.stderr, /OPTION_UNKNOWN: .*"x\\u001b\[2J\\ny".*\n$/, 'escaped for a terminal');
});

t.test('a kubeconfig that is not there is refused with exit code 2', async (t) => {
  const { code, stderr } = await runWebhook(
    '--kubeconfig=/nonexistent',
    '--port=0',
    '--metrics-port=0',
    '--ca-file=/dev/null/x',
  );
  t.equal(code, 2);
  t.match(stderr, /CLUSTER_CONFIGURATION: .*\/nonexistent/);
});

t.test('a port that is taken ends the program with a message', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await once(other, 'listening');
  const port = hostAndPort(other.address()).split(':')[1];
  const caFile = `--ca-file=${t.testdir({})}/ca.pem`;
  const { code, stderr } = await runWebhook(`--port=${port}`, '--metrics-port=0', caFile);
  t.equal(code, 1);
  t.match(stderr, /EADDRINUSE/);
});
