import t from 'tap';
import { makeLiberal, parseEntry } from '../../../lib/checker/liberal-connection.ts';
import type { RunCommand } from '../../../lib/command.ts';

/** As conntrack 1.4.7 prints it: a connection that is redirected to 15006. */
const PRINTED =
  'tcp      6 431998 ESTABLISHED src=10.77.0.1 dst=10.77.0.2 sport=36730 dport=9000 src=10.77.0.2 dst=10.77.0.1 sport=15006 dport=36730 [ASSURED] mark=0 use=2\n';
const NOTED = {
  ...{ source: '10.77.0.1', sourcePort: 36_730, destination: '10.77.0.2', destinationPort: 9000 },
  segments: 1,
};
const TUPLE = '-p tcp -s 10.77.0.1 -d 10.77.0.2 --sport 36730 --dport 9000';

function answering(...answers: { exitCode?: number; stdout?: string; stderr?: string }[]) {
  const asked: string[] = [];
  const run: RunCommand = async (command, args) => {
    asked.push([command, ...args].join(' '));
    return { exitCode: 0, stdout: '', stderr: '', ...answers[asked.length - 1] };
  };
  return { asked, run };
}

t.test('the entry is looked up, then updated with a timeout that is longer', async (t) => {
  const { asked, run } = answering({ stdout: PRINTED }, { stdout: PRINTED });
  t.equal(await makeLiberal(NOTED, 1000, run), 'rescued');
  t.same(asked, [`conntrack -G ${TUPLE}`, `conntrack -U -f ipv4 ${TUPLE} -t 432008`]);
});

t.test('a segment that came the other way is found, and updated by the first packet of the connection', async (t) => {
  const other = {
    ...NOTED,
    source: '10.77.0.2',
    sourcePort: 15_006,
    destination: '10.77.0.1',
    destinationPort: 36_730,
  };
  const hidden = { exitCode: 1, stderr: 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n' };
  const { asked, run } = answering(hidden, { stdout: PRINTED }, { stdout: PRINTED });
  t.equal(await makeLiberal(other, 1000, run), 'rescued');
  t.same(asked.slice(1), [
    'conntrack -L -f ipv4 -p tcp -r 10.77.0.2 -q 10.77.0.1 --reply-port-src 15006 --reply-port-dst 36730',
    `conntrack -U -f ipv4 ${TUPLE} -t 432008`,
  ]);
  t.equal(await makeLiberal(other, 1000, answering(hidden, { ...hidden, exitCode: 0 }).run), 'gone');
});

t.test('an entry that has the new timeout already is updated with another', async (t) => {
  const unchanged = { stderr: 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been updated.\n' };
  const { asked, run } = answering({ stdout: PRINTED }, unchanged, { stdout: PRINTED });
  t.equal(await makeLiberal(NOTED, 1000, run), 'rescued');
  t.same(asked.slice(1), [`conntrack -U -f ipv4 ${TUPLE} -t 432008`, `conntrack -U -f ipv4 ${TUPLE} -t 432018`]);
  t.equal(await makeLiberal(NOTED, 1000, answering({ stdout: PRINTED }, unchanged, unchanged).run), 'gone');
});

t.test('IPv6 is said to conntrack', async (t) => {
  const printed = PRINTED.replaceAll('10.77.0.1', 'fd77::1').replaceAll('10.77.0.2', 'fd77::2');
  const { asked, run } = answering({ stdout: printed }, { stdout: printed });
  await makeLiberal({ ...NOTED, source: 'fd77::1', destination: 'fd77::2' }, 1000, run);
  t.match(asked[1], /^conntrack -U -f ipv6 -p tcp -s fd77::1 -d fd77::2 /);
});

t.test('no entry, and one that is closed, are gone; all else is an error', async (t) => {
  const none = { exitCode: 1, stderr: "conntrack v1.4.7: Operation failed: such conntrack doesn't exist" };
  t.equal(await makeLiberal(NOTED, 1000, answering(none).run), 'gone');
  const closed = { stdout: PRINTED.replace('ESTABLISHED', 'TIME_WAIT') };
  t.equal(await makeLiberal(NOTED, 1000, answering(closed).run), 'gone');
  const refused = { exitCode: 1, stderr: 'Operation failed: Operation not permitted' };
  await t.rejects(makeLiberal(NOTED, 1000, answering(refused).run), { code: 'COMMAND_FAILED', message: /NET_ADMIN/ });
  await t.rejects(makeLiberal(NOTED, 1000, answering({ stdout: PRINTED }, refused).run), { code: 'COMMAND_FAILED' });
  t.equal(parseEntry('udp 17 30 src=1.2.3.4'), undefined);
});

t.test('an update that changed nothing is tried with another timeout, whatever its exit code', async (t) => {
  for (const exitCode of [0, 1]) {
    const nothing = { exitCode, stderr: 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been updated.' };
    const { asked, run } = answering({ stdout: PRINTED }, nothing, { stdout: PRINTED });
    t.equal(await makeLiberal(NOTED, 1000, run), 'rescued');
    t.match(asked[2], /-t 432018$/);
  }
});
