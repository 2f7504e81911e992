import t from 'tap';
import { createMetrics } from '../../webhook/webhook-metrics.ts';

t.test('two registries share nothing, and every name has the prefix of the project', async (t) => {
  const [one, other] = [createMetrics('1.0.0'), createMetrics('1.0.0')];
  one.admissions.inc({ result: 'injected', reason: '' });
  t.equal((await other.admissions.get()).values.length, 0);
  const names = one.registry.getMetricsAsArray().map(({ name }) => name);
  t.ok(names.length >= 9);
  t.strictSame(
    names.filter((name) => !/^invalid_drop_[a-z_]+$/.test(name)),
    [],
  );
});

t.test('an admission of a tenth of a millisecond is told from one of a millisecond', async (t) => {
  const { duration } = createMetrics('1.0.0');
  duration.observe(0.0001);
  duration.observe(0.0009);
  const { values } = await duration.get();
  const upTo = (le: number) => values.find(({ labels }) => labels['le'] === le)?.value;
  t.strictSame([upTo(0.0001), upTo(0.0005), upTo(0.001)], [1, 1, 2]);
});
