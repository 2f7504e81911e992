import t from 'tap';
import { makeSummary, resetData, resetText, summaryText } from '../../../../init-image/explain/node/reset-report.ts';
import type { ClassifiedReset } from '../../../../lib/resets/classified-reset.ts';
import { namespace, noSocket, reset } from '../../../lib/resets/made-resets.ts';

const AT = new Date('2026-01-02T03:04:05.678Z');
const BUG: ClassifiedReset = {
  reset: reset(),
  kind: 'this-bug',
  origin: { candidates: [namespace()], foundBy: 'listener' },
};

t.test('the bug is one line: time, pod and port, cause, and what the kernel reported', async (t) => {
  t.match(
    resetText(BUG, AT),
    /^03:04:05\.678 storage\/store-0 \(10\.0\.0\.7\) port 9000: THIS BUG: .* \[TCP_LISTEN TCP_FLAGS\]$/,
  );
});

t.test('the peer is named where the kernel reports it', async (t) => {
  const origin = { candidates: [namespace()], foundBy: 'address' as const };
  t.match(
    resetText({ reset: noSocket(), kind: 'closed-port', origin }, AT),
    / port 9000 to 10\.0\.0\.1:40000: no socket listens .*\[no socket NO_SOCKET\]/,
  );
  const six = { ...noSocket('fd00::7'), remote: { address: 'fd00::1', port: 5 } };
  t.match(resetText({ reset: six, kind: 'closed-port', origin }, AT), / to \[fd00::1\]:5: /);
});

t.test('several pods are named as such, and so is no pod', async (t) => {
  const many = Array.from({ length: 7 }, (_, i) => namespace({ label: `pod-${i}` }));
  t.match(
    resetText({ ...BUG, origin: { candidates: many, foundBy: 'listener' } }, AT),
    /one of 7 that listen on that port \(pod-0; .*pod-4 and 2 more\)/,
  );
  t.match(
    resetText({ ...BUG, origin: { candidates: many, foundBy: 'address' } }, AT),
    /one of 7 that have that address/,
  );
  t.match(
    resetText({ ...BUG, origin: { candidates: [], foundBy: 'not found' } }, AT),
    /an address of no visible pod \(::\)/,
  );
});

t.test('the data name the program only where it sent the reset itself', async (t) => {
  t.match(resetData(BUG, AT), {
    thisBug: true,
    pods: [{ name: /store-0/, namespace: 'net:[1]' }],
    reason: 'TCP_FLAGS',
  });
  t.notOk('command' in resetData(BUG, AT));
  t.match(resetData({ ...BUG, reset: { ...noSocket(), active: true } }, AT), {
    command: 'swapper',
    pid: 7,
    state: null,
  });
});

t.test('the summary counts by origin, service and kind, most first', async (t) => {
  const summary = makeSummary();
  const client = { ...noSocket('10.0.0.7', 41_000), remote: { address: '10.0.0.9', port: 443 } };
  summary.add({ reset: client, kind: 'unread-data', origin: BUG.origin });
  for (const port of [41_001, 41_002]) {
    summary.add({ reset: { ...client, local: { address: '10.0.0.7', port } }, kind: 'aborted', origin: BUG.origin });
  }
  for (let i = 0; i < 3; i++) summary.add(BUG);
  const rows = summary.rows().map(({ where, kind, resets }) => [resets, kind, where]);
  t.same(rows, [
    [3, 'this-bug', 'storage/store-0 (10.0.0.7) port 9000'],
    [2, 'aborted', 'storage/store-0 (10.0.0.7) to port 443'],
    [1, 'unread-data', 'storage/store-0 (10.0.0.7) to port 443'],
  ]);
  t.match(summaryText(summary.rows(), 10, 0), /6 resets in 10 s, 3 of them of the kind that the rule prevents\.\n/);
});

t.test('the summary has a limit of rows; resets beyond it are counted by kind', async (t) => {
  const summary = makeSummary();
  for (let i = 0; i < 300; i++) {
    const origin = { candidates: [namespace({ label: `pod-${i}` })], foundBy: 'listener' as const };
    summary.add({ ...BUG, origin });
  }
  t.equal(summary.rows().length, 201);
  t.same(summary.rows()[0], { where: 'others', kind: 'this-bug', resets: 100 });
});

t.test('a watch without resets says so, and lost events are reported', async (t) => {
  t.equal(summaryText([], 10, 0), '\n0 resets in 10 s, 0 of them of the kind that the rule prevents.\n');
  t.match(summaryText([], 10, 23), /23 more were lost/);
});

t.test('names of processes and pods are printed escaped', async (t) => {
  const origin = { candidates: [namespace({ label: 'x\u001b[2J\ny' })], foundBy: 'listener' as const };
  t.match(resetText({ ...BUG, origin }, AT), ' x\\u001b[2J\\ny port 9000');
  const summary = makeSummary();
  summary.add({ ...BUG, origin });
  t.match(summaryText(summary.rows(), 1, 0), 'x\\u001b[2J\\ny');
});
