// `kubectl invalid-drop preflight` with a real Istio: what it sees of the mesh.
import t from 'tap';
import type { PreflightReport } from '../../cli/preflight/preflight-verdict.ts';
import { runCli } from '../harness/cluster/cli-run.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import { barePod, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';

t.test('Istio, its version, and the namespace with a sidecar are seen', async (t) => {
  const namespace = await plainNamespace(t, { 'istio-injection': 'enabled' });
  await apply(barePod(namespace, 'meshed'));
  await waitReady(namespace, 'meshed');
  const { stdout, stderr } = await runCli(['preflight', '-o', 'json']);
  t.not(stdout, '', stderr);
  const report = JSON.parse(stdout) as PreflightReport;
  const istio = report.findings.find(({ code }) => code === 'istio');
  t.match(istio?.seen, /^Istio: istio-system\/istiod \S+ \(revision default\); [1-9]\d* pods with a sidecar were read/);
  t.match(
    report.namespaces.find(({ name }) => name === namespace),
    { mesh: 'sidecars', pods: 1, guardBy: 'pod mode' },
  );
  t.notOk(report.findings.some(({ code }) => code === 'no-mesh'));
});
