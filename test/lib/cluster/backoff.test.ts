import t from 'tap';
import { backoffMs } from '../../../lib/cluster/reflector.ts';

t.test('the delay doubles from one second to half a minute, and varies by half', async (t) => {
  t.strictSame(
    [1, 2, 3, 5, 6, 1000].map((failures) => backoffMs(failures, 1)),
    [1000, 2000, 4000, 16000, 30000, 30000],
  );
  t.equal(backoffMs(1, 0), 500);
  t.equal(backoffMs(1000, 1, 8000), 8000);
});
