import t from 'tap';
import {
  type Finding,
  findingData,
  findingText,
  makeTable,
  summaryText,
} from '../../../../init-image/explain/node/reset-report.ts';
import { namespace, noSocket, reset } from './made-resets.ts';

const AT = new Date('2026-01-02T03:04:05.678Z');
const BUG: Finding = { reset: reset(), kind: 'this-bug', place: { candidates: [namespace()], how: 'listener' } };

t.test('the bug is one line: when, which pod and port, what, and what the kernel said', async (t) => {
  t.match(
    findingText(BUG, AT),
    /^03:04:05\.678 storage\/store-0 \(10\.0\.0\.7\) port 9000: THIS BUG: .* \[TCP_LISTEN TCP_FLAGS\]$/,
  );
});

t.test('the peer is named where the kernel tells it', async (t) => {
  const place = { candidates: [namespace()], how: 'address' as const };
  t.match(
    findingText({ reset: noSocket(), kind: 'closed-port', place }, AT),
    / port 9000 to 10\.0\.0\.1:40000: nobody listens .*\[no socket NO_SOCKET\]/,
  );
  const six = { ...noSocket('fd00::7'), remote: { address: 'fd00::1', port: 5 } };
  t.match(findingText({ reset: six, kind: 'closed-port', place }, AT), / to \[fd00::1\]:5: /);
});

t.test('several pods are said to be several, and none to be none', async (t) => {
  const many = Array.from({ length: 7 }, (_, i) => namespace({ label: `pod-${i}` }));
  t.match(
    findingText({ ...BUG, place: { candidates: many, how: 'listener' } }, AT),
    /one of 7 that listen on that port \(pod-0; .*pod-4 and 2 more\)/,
  );
  t.match(findingText({ ...BUG, place: { candidates: many, how: 'address' } }, AT), /one of 7 that have that address/);
  t.match(
    findingText({ ...BUG, place: { candidates: [], how: 'not found' } }, AT),
    /an address of no pod that can be seen \(::\)/,
  );
});

t.test('the data name the program only where it sent the reset itself', async (t) => {
  t.match(findingData(BUG, AT), {
    thisBug: true,
    pods: [{ name: /store-0/, namespace: 'net:[1]' }],
    reason: 'TCP_FLAGS',
  });
  t.notOk('command' in findingData(BUG, AT));
  t.match(findingData({ ...BUG, reset: { ...noSocket(), active: true } }, AT), {
    command: 'swapper',
    pid: 7,
    state: null,
  });
});

t.test('the table counts by place, service and kind, most first', async (t) => {
  const table = makeTable();
  const client = { ...noSocket('10.0.0.7', 41_000), remote: { address: '10.0.0.9', port: 443 } };
  table.add({ reset: client, kind: 'unread-data', place: BUG.place });
  for (const port of [41_001, 41_002]) {
    table.add({ reset: { ...client, local: { address: '10.0.0.7', port } }, kind: 'aborted', place: BUG.place });
  }
  for (let i = 0; i < 3; i++) table.add(BUG);
  const rows = table.rows().map(({ where, kind, resets }) => [resets, kind, where]);
  t.same(rows, [
    [3, 'this-bug', 'storage/store-0 (10.0.0.7) port 9000'],
    [2, 'aborted', 'storage/store-0 (10.0.0.7) to port 443'],
    [1, 'unread-data', 'storage/store-0 (10.0.0.7) to port 443'],
  ]);
  t.match(summaryText(table.rows(), 10, 0), /6 resets in 10 s, 3 of them of the kind that the rule prevents\.\n/);
});

t.test('the table has a bound: what is beyond it is counted by its kind', async (t) => {
  const table = makeTable();
  for (let i = 0; i < 300; i++) {
    const place = { candidates: [namespace({ label: `pod-${i}` })], how: 'listener' as const };
    table.add({ ...BUG, place });
  }
  t.equal(table.rows().length, 201);
  t.same(table.rows()[0], { where: 'others', kind: 'this-bug', resets: 100 });
});

t.test('a watch without resets says so, and lost events are told', async (t) => {
  t.equal(summaryText([], 10, 0), '\n0 resets in 10 s, 0 of them of the kind that the rule prevents.\n');
  t.match(summaryText([], 10, 23), /23 more were lost/);
});
