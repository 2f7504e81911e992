import { readFileSync } from 'node:fs';
import t from 'tap';
import { readEvidence, readInterfaces, readSnmp, sumColumn } from '../../../lib/netfilter/proc.ts';
import { readProcFile } from '../../../lib/netfilter/proc-file.ts';

const CONNTRACK = `entries  clashres found new invalid ignore
00000005  00000000 00000000 00000000 0000000a 00000000
00000005  00000000 00000000 00000000 000000ff 00000000
`;
const SNMP = `Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm MaxConn OutRsts
Tcp: 1 -1 42
`;

t.test('the invalid column is summed over all CPUs, in hexadecimal', async (t) => {
  t.equal(sumColumn(CONNTRACK, 'invalid'), 0xa + 0xff);
});

t.test('a number that the kernel does not give is null', async (t) => {
  t.equal(sumColumn(CONNTRACK, 'no_such_column'), null);
  t.equal(sumColumn(undefined, 'invalid'), null);
  t.equal(readSnmp(SNMP, 'Tcp', 'NoSuch'), null);
  t.equal(readSnmp(undefined, 'Tcp', 'OutRsts'), null);
});

t.test('resets are read from the right protocol and column', async (t) => {
  t.equal(readSnmp(SNMP, 'Tcp', 'OutRsts'), 42);
});

t.test('this machine gives its own evidence', { skip: process.platform !== 'linux' && 'needs Linux' }, async (t) => {
  t.match(readEvidence(), { kernelRelease: /^\d+\.\d+/, tcpResetsSent: Number });
  t.ok(readInterfaces().includes('lo'));
});

t.test('of a long file no more than the limit is read', async (t) => {
  const path = `${t.testdir({ long: 'x'.repeat(200_000) })}/long`;
  t.equal(readProcFile(path, 100_001), 'x'.repeat(100_001));
  t.equal(readProcFile(path, 300_000), readFileSync(path, 'latin1'));
  t.equal(readProcFile(`${path}er`, 10), undefined);
});
