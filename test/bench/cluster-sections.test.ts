import t from 'tap';
import { describeLayers } from '../../bench/cluster/image-sizes.ts';
import { describePodStart } from '../../bench/cluster/pod-times.ts';
import { sumOf } from '../../bench/cluster/webhook-scale.ts';
import { parseAgeSeconds } from '../../bench/proc-numbers.ts';

t.test('an image is as large as its layers together', async (t) => {
  const [size, layers] = describeLayers('webhook', [{ size: 1_000_000 }, { size: 2_500_000 }]);
  t.match(size, { name: 'image webhook, to pull', value: 3.5, unit: 'MB' });
  t.equal(layers?.value, 2);
});

t.test('our share of a start is what the guarded pod takes longer', async (t) => {
  const [start, share] = describePodStart([900, 1000, 1100], [700, 750, 9000]);
  t.match(start, { name: 'pod, scheduled to Ready, median of 3', value: 1000, reference: 750, ratio: 1.333 });
  t.match(share, { value: 25, unit: '%' });
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
