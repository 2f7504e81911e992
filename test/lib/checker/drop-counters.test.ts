import t from 'tap';
import { addCheck, emptyDropCounters, restartCounters } from '../../../lib/checker/drop-counters.ts';
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { BARE, checkOf, legacySnapshot, mangle } from '../netfilter/made-checks.ts';

const counted = (packets: number, bytes: number) =>
  checkOf(legacySnapshot(mangle(`[${packets}:${bytes}] ${RULE.tcp}`), BARE));

t.test('a rule is counted once, though it decides for every interface', async (t) => {
  const { total } = addCheck(emptyDropCounters(), counted(3, 300));
  t.same(total, { ipv4: { packets: 3, bytes: 300 }, ipv6: { packets: 0, bytes: 0 } });
});

t.test('only what is new since the last check is added', async (t) => {
  const dropCounters = [counted(3, 300), counted(3, 300), counted(10, 900)].reduce(addCheck, emptyDropCounters());
  t.same(dropCounters.total.ipv4, { packets: 10, bytes: 900 });
});

t.test('a counter that went back belongs to a new rule and counts from 0', async (t) => {
  const dropCounters = [counted(10, 900), counted(2, 200)].reduce(addCheck, emptyDropCounters());
  t.same(dropCounters.total.ipv4, { packets: 12, bytes: 1100 });
});

t.test('one of the two numbers going back is enough', async (t) => {
  const dropCounters = [counted(10, 900), counted(11, 800)].reduce(addCheck, emptyDropCounters());
  t.same(dropCounters.total.ipv4, { packets: 21, bytes: 1700 });
});

t.test('after a repair the new rule counts from 0 even where it has already overtaken the old one', async (t) => {
  const dropCounters = addCheck(restartCounters(addCheck(emptyDropCounters(), counted(10, 900))), counted(11, 950));
  t.same(dropCounters.total.ipv4, { packets: 21, bytes: 1850 });
});

t.test('the total stays while nothing drops', async (t) => {
  const dropCounters = [counted(3, 300), checkOf(legacySnapshot(BARE))].reduce(addCheck, emptyDropCounters());
  t.same(dropCounters.total.ipv4, { packets: 3, bytes: 300 });
});
