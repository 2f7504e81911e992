import t from 'tap';
import { describeAgentMemory } from '../../bench/cluster/agent-cost.ts';
import { RuleChanges } from '../../bench/cluster/agent-speed.ts';
import { describeLayers } from '../../bench/cluster/image-sizes.ts';
import { describeMargins, describeNodeModeStart } from '../../bench/cluster/node-mode-starts.ts';
import { describePodStart } from '../../bench/cluster/pod-times.ts';
import { sumOf } from '../../bench/cluster/webhook-scale.ts';
import { parseAgeSeconds } from '../../bench/proc-numbers.ts';

t.test('an image is as large as its layers together', async (t) => {
  const [size, layers] = describeLayers('webhook', [{ size: 1_000_000 }, { size: 2_500_000 }]);
  t.match(size, { name: 'image webhook, to pull', value: 3.5, unit: 'MB' });
  t.equal(layers?.value, 2);
});

t.test('what we add to a start is what the guarded pod takes longer, and is judged', async (t) => {
  const [start, added, empty] = describePodStart(
    { guarded: [1900, 2000, 2100], plain: [700, 750, 9000], empty: [1800] },
    1150,
  );
  t.match(start, { name: 'pod, scheduled to Ready, median of 3', value: 2000, reference: 750, goal: null });
  t.match(added, { name: 'pod, added to it', value: 1250, unit: 'ms', goal: 'value <= 1150', ok: false });
  t.match(empty, { value: 1050, unit: 'ms', goal: null }, 'by a container that does nothing');
  t.match(describePodStart({ guarded: [1900], plain: [750], empty: [1800] }, 1150)[1], { value: 1150, ok: true });
});

t.test('a metric is summed over its labels, and not with others whose names begin alike', async (t) => {
  const text = [
    '# HELP pods Pods.',
    '# TYPE pods gauge',
    'pods{namespace="a",reason="guarded"} 20',
    'pods{namespace="b",reason="starting"} 3',
    'pods_synced 1',
    'up 1',
  ].join('\n');
  t.equal(sumOf(text, 'pods'), 23);
  t.equal(sumOf(text, 'up'), 1);
  t.equal(sumOf(text, 'absent'), 0);
});

t.test('the age of a process is the uptime without its start, whatever its name', async (t) => {
  const stat = `42 (a) b) S ${Array.from({ length: 18 }, () => '7').join(' ')} 12345 99 98`;
  t.equal(parseAgeSeconds(stat, '200.45 12.00\n').toFixed(2), '77.00');
});

t.test('what node mode adds to a start is the difference of the medians', async (t) => {
  const [start, added] = describeNodeModeStart([900, 1000, 5000], [700, 990, 4900]);
  t.match(start, { value: 1000, reference: 990, goal: null });
  t.match(added, { name: 'node mode: added to it', value: 10, unit: 'ms', ok: true });
});

t.test('a pod counts as guarded in time only where that was before its first container', async (t) => {
  const margins = [120, 80, 10, -10].map((putIn) => ({ putIn, verified: putIn - 50 }));
  const [cure, verified, middle] = describeMargins('one by one', margins, 'value >= 99');
  t.match(cure, { name: 'node mode: 4 pods one by one, cure before container', value: 75, ok: false });
  t.match(verified, { value: 50, ok: null });
  t.match(middle, { value: 45, unit: 'ms' });
});

t.test('the memory of an agent is its own and that of all its children', async (t) => {
  const child = (unbacked: number) => ({ unbacked, private: unbacked });
  const memory = { own: { unbacked: 20e6, private: 64e6 }, children: [child(500_000), child(1_500_000)] };
  const [own, each, all, children] = describeAgentMemory(memory, { pods: 30, goal: 'value <= 45' });
  t.match(own, { name: 'node mode: agent and 2 children, 30 pods, memory of their own', value: 22, ok: true });
  t.match(each, { value: 0.7333, unit: 'MB' });
  t.match(all, { value: 66, ok: null });
  t.match(children, { value: 2 });
});

t.test('a repair ends with the first rule that comes into the chain after the loss', async (t) => {
  const changes = new RuleChanges();
  changes.read('insert rule ip mangle PREROUTING meta l4proto tcp counter drop\n', 1);
  changes.read('delete rule ip6 mangle PREROUTING handle 4\ndelete rule ip mangle PRERO', 5);
  t.equal(changes.took(), undefined);
  changes.read('UTING handle 4\n# new generation 3 by process 9 (iptables-nft)\n', 10);
  t.equal(changes.took(), undefined);
  changes.read('add rule ip mangle PREROUTING ct state invalid counter packets 0 bytes 0 drop\n', 75);
  changes.read('add rule ip mangle PREROUTING ct state invalid counter packets 0 bytes 0 drop\n', 99);
  t.equal(changes.took(), 65);
  changes.forget();
  t.equal(changes.took(), undefined);
});
