// `kubectl invalid-drop preflight` against a real API server: what it reads, its dry runs, and the rights that it needs.
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { loadYaml } from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import type { PreflightReport } from '../../cli/preflight/preflight-verdict.ts';
import { runCli } from '../harness/cluster/cli-run.ts';
import { apply, kubectl } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { getPods } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { tokenKubeconfig } from '../harness/cluster/token-kubeconfig.ts';
import { eventually } from '../harness/wait-until.ts';

const DOCUMENT = new URL('../../docs/preflight.md', import.meta.url);
const LEVEL = 'pod-security.kubernetes.io/enforce';
const ISTIO = { 'istio-injection': 'enabled' };

async function preflight(args: string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = await runCli(['preflight', '-o', 'json', ...args], { env });
  if (stdout === '') throw new Error(stderr);
  const report = JSON.parse(stdout) as PreflightReport;
  const levels = Object.fromEntries(report.findings.map(({ code, level }) => [code, level]));
  return { exitCode, report, levels, stderr };
}

/** The verdict about one namespace, once an object that was just made counts. */
async function verdictOn(namespace: string, wanted: string) {
  return eventually(`${namespace} is judged as ${wanted}`, async () => {
    const { report } = await preflight(['-n', namespace]);
    const [one] = report.namespaces;
    if (one?.guardBy !== wanted) throw new Error(JSON.stringify(one));
    return one;
  });
}

t.test('Pod Security by the label: asked by a dry run, and nothing is stored', async (t) => {
  const open = await plainNamespace(t, ISTIO);
  const baseline = await plainNamespace(t, { ...ISTIO, [LEVEL]: 'baseline' });
  const restricted = await plainNamespace(t, { ...ISTIO, [LEVEL]: 'restricted' });
  const { report } = await preflight([]);
  const of = (name: string) => report.namespaces.find((one) => one.name === name);
  t.match(of(open), { guardBy: 'pod mode', mesh: 'sidecars', why: 'a pod with our container is accepted (dry run)' });
  t.match(of(baseline), { guardBy: 'node mode', why: /Pod Security refuses NET_ADMIN: it enforces "baseline:latest"/ });
  t.match(of(restricted), { guardBy: 'node mode', why: /it enforces "restricted:latest"/ });
  t.notOk(
    report.namespaces.some(({ name }) => ['kube-system', 'invalid-drop-system'].includes(name)),
    'namespaces that are never changed are not tried',
  );
  for (const namespace of [open, baseline, restricted]) t.same(await getPods(namespace), []);
  t.match(report.nodes[0], { os: 'linux', kubelet: /^v1\./ });
  if (!skipWithoutNode) t.equal(report.nodes[0]?.kernel, release());
});

t.test('an admission policy that refuses NET_ADMIN, and a quota that is used up', async (t) => {
  const policed = await plainNamespace(t, ISTIO);
  await policy(t, policed);
  const one = await verdictOn(policed, 'node mode');
  t.match(one.why, /an admission program refuses our container: .*NET_ADMIN is not for this namespace/);

  const full = await plainNamespace(t, ISTIO);
  const spec = { hard: { pods: '0' } };
  await apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace: full }, spec });
  const other = await verdictOn(full, 'cannot tell');
  t.match(other.why, /each pod that was tried is refused, also without our container: .*exceeded quota/);
});

async function policy(t: Test, namespace: string): Promise<void> {
  const name = `e2e-${namespace}`;
  t.teardown(() =>
    kubectl(['delete', 'validatingadmissionpolicy,validatingadmissionpolicybinding', name, '--ignore-not-found']),
  );
  const caps =
    '!has(object.spec.initContainers) || object.spec.initContainers.all(c, !has(c.securityContext) || !has(c.securityContext.capabilities) || !has(c.securityContext.capabilities.add) || !("NET_ADMIN" in c.securityContext.capabilities.add))';
  const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] };
  const api = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name } };
  const validations = [{ expression: caps, message: 'NET_ADMIN is not for this namespace' }];
  await apply(
    {
      ...api,
      kind: 'ValidatingAdmissionPolicy',
      spec: { matchConstraints: { resourceRules: [rule] }, validations },
    },
    {
      ...api,
      kind: 'ValidatingAdmissionPolicyBinding',
      spec: {
        policyName: name,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      },
    },
  );
}

t.test('kube-proxy by the ConfigMap that kubeadm makes: each mode, and what it means', async (t) => {
  const namespace = await plainNamespace(t, ISTIO);
  t.teardown(() => kubectl(['delete', 'configmap', 'kube-proxy', '-n', 'kube-system', '--ignore-not-found']));
  const withMode = async (mode: string, conntrack = '') => {
    const text = `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: "${mode}"\n${conntrack}`;
    const metadata = { name: 'kube-proxy', namespace: 'kube-system' };
    await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'config.conf': text } });
    const { exitCode, report, levels } = await preflight(['-n', namespace]);
    return { exitCode, exposure: report.exposure, levels };
  };
  t.match(await withMode(''), {
    exitCode: 0,
    exposure: 'hidden',
    levels: { 'pods-hidden': 'note', 'kube-proxy-default-changes': 'note' },
  });
  t.match(await withMode('iptables', 'conntrack: {tcpBeLiberal: true}\n'), { exitCode: 1, exposure: 'exposed' });
  t.match(await withMode('nftables'), { exitCode: 1, exposure: 'exposed', levels: { 'pods-exposed': 'warning' } });
});

t.test('without rights each missing one is named; the role in the documentation is enough', async (t) => {
  const namespace = await plainNamespace(t, ISTIO);
  const [, yaml = ''] =
    /tested: preflight role -->\n```yaml\n([\s\S]*?)```/.exec(await readFile(DOCUMENT, 'utf8')) ?? [];
  const role = loadYaml<{ metadata: { name: string } }>(yaml);
  const { name } = role.metadata;
  t.teardown(() => kubectl(['delete', 'clusterrole,clusterrolebinding', name, '--ignore-not-found']));
  await kubectl(['create', 'serviceaccount', 'operator', '-n', namespace]);
  const token = await kubectl(['create', 'token', 'operator', '-n', namespace]);
  const KUBECONFIG = await tokenKubeconfig(t, token);

  const { exitCode, report, levels } = await preflight(['-n', namespace], { KUBECONFIG });
  t.equal(exitCode, 2);
  t.match(levels, { 'nodes-not-read': 'unknown', 'pods-unknown': 'unknown' });
  for (const right of ['list nodes', 'list daemonsets', `list pods in namespace ${namespace}`, 'create pods there'])
    t.ok(
      report.notSeen.some((line) => line.endsWith(`needs the right to ${right}`)),
      right,
    );

  await apply(role);
  const account = `--serviceaccount=${namespace}:operator`;
  await kubectl(['create', 'clusterrolebinding', name, `--clusterrole=${name}`, account]);
  await eventually('nothing is missing', async () => {
    const { report: now } = await preflight(['-n', namespace], { KUBECONFIG });
    const missing = now.notSeen.filter((line) => line.includes('right'));
    if (missing.length > 0) throw new Error(missing.join('; '));
    t.match(now.namespaces, [{ name: namespace, guardBy: 'pod mode' }]);
    return true;
  });
});

t.test('an API server that cannot be asked is no verdict', async (t) => {
  const { exitCode, stdout, stderr } = await runCli(['preflight', '--kubeconfig=/nowhere']);
  t.equal(exitCode, 2);
  t.equal(stdout, '');
  t.match(stderr, /CLUSTER_CONFIGURATION/);
});
