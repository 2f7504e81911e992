import { createServer } from 'node:http';
import t from 'tap';
import { parseReport, readStrayEvidence } from '../../../init-image/explain/stray-evidence.ts';
import { GUARDED } from '../../lib/netfilter/made-checks.ts';
import { reportOf } from '../checker/checker-reports.ts';

t.test('what a checker reports of its rescues', async (t) => {
  const report = await reportOf(GUARDED);
  t.same(parseReport(JSON.stringify(report)), { state: 'enabled', rescued: 14, failed: 2, persistent: 0 });
});

t.test('another program on the port is no checker', async (t) => {
  for (const text of ['', '{}', '[]', 'null', '<html>', '{"strays": {"rescue": 1}}'])
    t.equal(parseReport(text), null, text);
});

t.test('a port without a listener, and one that never ends its answer', async (t) => {
  t.match(await readStrayEvidence(1, 1000), { rescue: null });
  const endless = createServer((_, response) => {
    response.writeHead(200);
    const more = () => response.write('x'.repeat(100_000));
    response.on('drain', more);
    more();
  }).listen(0, '127.0.0.1');
  t.teardown(() => endless.close());
  await new Promise((resolve) => endless.once('listening', resolve));
  t.match(await readStrayEvidence((endless.address() as { port: number }).port, 1000), { rescue: null });
});
