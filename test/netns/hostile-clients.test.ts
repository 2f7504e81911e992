// Anybody in the cluster's network can reach the checker's port. Whatever comes there, the pod stays Ready, and the
// checker within the memory that its container has.
import { fileURLToPath } from 'node:url';
import { CHECKER_PORT } from '../../lib/contract.ts';
import { containerResources } from '../../webhook/admission/container-resources.ts';
import { readinessProbe } from '../../webhook/admission/containers.ts';
import { OPTIONS } from '../../webhook/webhook-options.ts';
import { bytesOf, readPeakMemory } from '../harness/memory-limit.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS } from '../harness/netns/network-namespaces.ts';
import { patient } from '../harness/netns/processes.ts';
import { install, startChecker } from '../harness/netns/shipped-programs.ts';

const CLIENTS = fileURLToPath(new URL('../harness/traffic/hostile-clients.ts', import.meta.url));
const LIMIT = bytesOf(containerResources(OPTIONS['checker-resources'].default).limits['memory'] ?? '');
/** How long the kubelet waits for an answer, and after how many without one in a row it gives a pod up. */
const { timeoutSeconds, failureThreshold } = readinessProbe('http', CHECKER_PORT, 'sidecar');
const WAIT = String(patient(timeoutSeconds));
const PROBES = 10;

for (const kind of ['silent', 'half', 'unread', 'pipelined']) {
  kernelTest(`a probe gets through 150 connections that are ${kind}`, async (t, { pod, gateway }) => {
    t.equal((await install(pod)).exitCode, 0);
    const checker = await startChecker(pod);
    const clients = gateway.start(process.execPath, [CLIENTS, ADDRESS.pod.ipv4, String(CHECKER_PORT), kind, '150']);
    await clients.waitForOutput(/holding/);
    const url = `http://${ADDRESS.pod.ipv4}:${CHECKER_PORT}/readyz`;
    const failed = { inARow: 0, most: 0 };
    for (let probe = 0; probe < PROBES; probe++) {
      const { stdout } = await gateway.run('curl', [
        '--silent',
        '--max-time',
        WAIT,
        '--write-out',
        '%{http_code}',
        url,
      ]);
      failed.inARow = stdout === 'ok\n200' ? 0 : failed.inARow + 1;
      failed.most = Math.max(failed.most, failed.inARow);
    }
    t.ok(failed.most < failureThreshold, `${failed.most} probes in a row without an answer`);
    t.notOk(clients.closed, 'the clients go on');
    const peak = await readPeakMemory(checker.child.pid ?? 0);
    t.ok(peak < LIMIT, `${Math.round(peak / 1024 ** 2)} MiB of ${LIMIT / 1024 ** 2}`);
  });
}
