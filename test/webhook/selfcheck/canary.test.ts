// The canary against the real program, over TLS.
import t from 'tap';
import { runWebhook, startWebhook } from '../webhook-process.ts';

t.test('the self-check sends a pod, and knows what it has to get', async (t) => {
  for (const [options, addition] of [
    [[], 'sidecar'],
    [['--native-sidecars=disabled'], 'containers'],
    [['--checker=disabled'], 'init container'],
    // In mode observe nothing would be added for an agent: the canary asks for enforce.
    [['--node-mode=available', '--mode=observe'], 'readiness gate'],
  ] as const) {
    const { metricsPort } = await startWebhook(t, ...options);
    const { code, stdout } = await runWebhook('selfcheck', `--metrics-port=${metricsPort}`);
    t.match(stdout, new RegExp(`^ok +canary .*: a pod sent there gets its ${addition}$`, 'm'));
    t.equal(code, 0, stdout);
  }
});
