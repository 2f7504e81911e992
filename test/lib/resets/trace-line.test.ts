import t from 'tap';
import { parseFormat, parseLine } from '../../../lib/resets/trace-line.ts';

const HEAD = '          <idle>-0       [001] ..s2. 12345.678901: tcp_send_reset: ';
const PASSIVE = 'skbaddr=00000000aabbccdd skaddr=00000000aabbccde';

t.test('the bug as Linux 6.18 prints it: addresses of the listening socket, state and reason', async (t) => {
  const line = `${HEAD}${PASSIVE} src=[::]:9000 dest=[::]:0 state=TCP_LISTEN reason=TCP_FLAGS`;
  t.same(parseLine(line), {
    ...{ pid: 0, command: '<idle>', active: false, state: 'TCP_LISTEN', reason: 'TCP_FLAGS' },
    ...{ local: { address: '::', port: 9000 }, remote: { address: '::', port: 0 } },
  });
});

t.test('without a socket there is no state; NOT_SPECIFIED means no reason', async (t) => {
  const none = `${PASSIVE} src=10.77.0.2:9434 dest=10.77.0.1:50756 state=UNKNOWN reason=NO_SOCKET`;
  t.strictSame(parseLine(HEAD + none), {
    ...{ pid: 0, command: '<idle>', active: false, reason: 'NO_SOCKET' },
    ...{ local: { address: '10.77.0.2', port: 9434 }, remote: { address: '10.77.0.1', port: 50_756 } },
  });
  const unspecified = `${PASSIVE} src=10.0.0.1:1 dest=10.0.0.2:2 state=TCP_ESTABLISHED reason=NOT_SPECIFIED`;
  t.notOk('reason' in (parseLine(HEAD + unspecified) ?? {}));
});

t.test('IPv4 in an IPv6 socket is IPv4, and a reset without a packet was sent by the program', async (t) => {
  const own = 'skbaddr=0000000000000000 skaddr=00000000aabbccde';
  const line = ` node-MainThread-28480   [000] ...1. 99.000001: tcp_send_reset: ${own} src=[::ffff:10.77.0.2]:9431 dest=[::ffff:10.77.0.1]:46076 state=TCP_CLOSE reason=TCP_ABORT_ON_CLOSE`;
  t.match(parseLine(line), {
    ...{ pid: 28_480, command: 'node-MainThread', active: true },
    ...{ local: { address: '10.77.0.2' }, remote: { address: '10.77.0.1' } },
  });
});

t.test('a command with special characters hides nothing', async (t) => {
  const line = ` my [0] x-7-42 [000] ...1. 99.1: tcp_send_reset: ${PASSIVE} src=[fd77::2]:1 dest=[fd77::1]:2 state=TCP_CLOSE reason=X`;
  t.match(parseLine(line), { pid: 42, command: 'my [0] x-7', local: { address: 'fd77::2', port: 1 } });
});

t.test('kernels up to 6.9 print ports and both forms of addresses, and no reason', async (t) => {
  const six = 'family=AF_INET6 sport=9000 dport=0 saddr=0.0.0.0 daddr=0.0.0.0 saddrv6=:: daddrv6=:: state=TCP_LISTEN';
  const parsed = parseLine(`${HEAD}${PASSIVE} ${six}`);
  t.match(parsed, { state: 'TCP_LISTEN', local: { address: '::', port: 9000 }, remote: { port: 0 } });
  t.notOk('reason' in (parsed ?? {}));
  const four =
    'sport=80 dport=4242 saddr=10.0.0.1 daddr=10.0.0.2 saddrv6=::ffff:10.0.0.1 daddrv6=::ffff:10.0.0.2 state=TCP_CLOSE';
  t.match(parseLine(`${HEAD}${PASSIVE} ${four}`), { local: { address: '10.0.0.1', port: 80 }, remote: { port: 4242 } });
});

t.test('lost events are counted, and other lines are ignored', async (t) => {
  t.same(parseLine('CPU:1 [LOST 23 EVENTS]'), { lost: 23 });
  for (const line of ['', '# tracer: nop', `${HEAD}src=nonsense dest=10.0.0.1:1`, `${HEAD}sport=1 saddr=10.0.0.1`]) {
    t.equal(parseLine(line), undefined, line);
  }
  t.equal(parseLine(HEAD.replace('tcp_send_reset', 'tcp_receive_reset')), undefined);
});

t.test('the format file says which fields the kernel has', async (t) => {
  const fields = (...names: string[]) => names.map((name) => `\tfield:int ${name};\toffset:24;\tsize:4;\n`).join('');
  t.same(parseFormat(fields('state', 'reason')), { state: true, reason: true });
  t.same(parseFormat(fields('state')), { state: true, reason: false });
  t.same(parseFormat(fields('sport')), { state: false, reason: false });
});
