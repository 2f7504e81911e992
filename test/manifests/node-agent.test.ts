// The DaemonSet of the node agents, its rights, and the components that change it.
import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { AGENT_PORT, GUARDED_CONDITION, NODE_MODE_VARIABLE, OWN_NAMESPACE } from '../../lib/contract.ts';
import { CONDITION_REASONS } from '../../lib/pod/guarded-condition.ts';
import { AGENT_OPTIONS } from '../../node-agent/agent-options.ts';
import { findKubectl, MANIFESTS, one, type Rendered, render, renderOwn } from './render.ts';

const NAME = 'invalid-drop-node-agent';
const skip = (await findKubectl()) ? false : 'kubectl is missing: install it, or run make cluster-up once';

interface Named {
  name: string;
  value?: string;
  // biome-ignore lint/suspicious/noExplicitAny: as Rendered.
  [field: string]: any;
}

const podOf = (objects: Rendered[]) => one(objects, 'DaemonSet', NAME).spec.template.spec;
const containerOf = (objects: Rendered[]) => podOf(objects).containers[0];
const variable = (container: { env: Named[] }, name: string) => container.env.find((one) => one.name === name)?.value;
const withComponents = (...components: string[]) =>
  renderOwn(
    JSON.stringify({
      resources: ['path/to/invalid-drop/manifests'],
      components: ['', ...components].map((name) => `path/to/invalid-drop/manifests/node-agent/${name}`),
    }),
  );

t.test('uid 0 with two capabilities, and nothing else that Pod Security forbids', { skip }, async (t) => {
  const objects = await render('overlays/node');
  const pod = podOf(objects);
  const { securityContext } = containerOf(objects);
  t.strictSame(securityContext, {
    runAsUser: 0,
    runAsGroup: 0,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['SYS_ADMIN', 'NET_ADMIN'] },
  });
  t.strictSame(pod.securityContext, { seccompProfile: { type: 'RuntimeDefault' } });
  for (const field of ['hostPID', 'hostNetwork', 'hostIPC', 'hostUsers']) t.equal(pod[field], undefined, field);
  t.equal(pod.containers.length, 1);
});

t.test('three folders of the node, where the agent looks for them', { skip }, async (t) => {
  const pod = podOf(await render('overlays/node'));
  const paths = Object.fromEntries(pod.volumes.map(({ name, hostPath }: Named) => [name, hostPath?.path]));
  t.strictSame(paths, { netns: '/run/netns', cni: '/var/lib/cni', 'proc-sys-net': '/proc/sys/net' });
  const mounts: Record<string, Named> = Object.fromEntries(
    pod.containers[0].volumeMounts.map((mount: Named) => [mount.name, mount]),
  );
  t.equal(mounts['netns']?.['mountPath'], AGENT_OPTIONS['netns-folder'].default);
  t.equal(mounts['netns']?.['mountPropagation'], 'HostToContainer', 'or namespaces that come later are not seen');
  t.equal(mounts['netns']?.['readOnly'], true);
  t.equal(`${mounts['cni']?.['mountPath']}/results`, AGENT_OPTIONS['cni-cache'].default, 'also where it is made anew');
  t.equal(mounts['cni']?.['readOnly'], true);
  t.equal(mounts['proc-sys-net']?.['mountPath'], AGENT_OPTIONS['proc-sys-net'].default);
});

t.test('an agent on each Linux node, before other pods, one at a time while it is upgraded', { skip }, async (t) => {
  const objects = await render('overlays/node');
  const { updateStrategy, selector, template } = one(objects, 'DaemonSet', NAME).spec;
  t.match(template.spec, {
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    priorityClassName: 'system-node-critical',
    serviceAccountName: NAME,
    automountServiceAccountToken: true,
  });
  t.equal(one(objects, 'ServiceAccount', NAME)['automountServiceAccountToken'], false);
  t.equal(updateStrategy.rollingUpdate.maxUnavailable, 1);
  t.strictSame(selector.matchLabels, template.metadata.labels);
  const quota = one(objects, 'ResourceQuota', NAME);
  t.equal(quota.metadata.namespace, OWN_NAMESPACE);
  t.strictSame(quota.spec.scopeSelector.matchExpressions[0].values, [template.spec.priorityClassName]);
});

t.test('each variable is an option of the agent, with a value that it takes', { skip }, async (t) => {
  const folders = await readdir(`${MANIFESTS}/node-agent`, { withFileTypes: true });
  const components = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  t.same(components, ['default', 'legacy-iptables', 'resets']);
  const { env } = containerOf(await withComponents(...components)) as { env: Named[] };
  const options = new Map(Object.values(AGENT_OPTIONS).map((option) => [option.env, option]));
  for (const { name, value } of env) {
    t.ok(options.has(name), name);
    if (value !== undefined) t.not(options.get(name)?.parse(value), undefined, `${name}=${value}`);
  }
  t.strictSame(env.find(({ name }) => name === 'INVALID_DROP_NODE_NAME')?.['valueFrom'], {
    fieldRef: { fieldPath: 'spec.nodeName' },
  });
});

t.test('probes, NetworkPolicy and container agree on the port', { skip }, async (t) => {
  const objects = await render('overlays/node');
  const container = containerOf(objects);
  t.strictSame(container.ports, [{ name: 'metrics', containerPort: AGENT_PORT }]);
  for (const probe of ['startupProbe', 'livenessProbe']) t.equal(container[probe].httpGet.path, '/healthz');
  t.match(container.readinessProbe.httpGet, { path: '/readyz', port: 'metrics' });
  const policy = one(objects, 'NetworkPolicy', NAME).spec;
  t.strictSame(policy.podSelector.matchLabels, one(objects, 'DaemonSet', NAME).spec.template.metadata.labels);
  t.strictSame(policy.ingress, [{ ports: [{ port: 'metrics' }] }]);
  const { egress } = one(objects, 'NetworkPolicy', 'invalid-drop-webhook').spec;
  const toAgents = { to: [{ podSelector: policy.podSelector }], ports: [{ port: AGENT_PORT }] };
  t.strictSame(egress.at(-1), toAgents, "the webhook's status page asks agents");
  t.notMatch(JSON.stringify(one(await render('.'), 'NetworkPolicy').spec), 'node-agent', 'only where there are any');
  t.ok(container.resources.requests.memory && container.resources.limits.memory);
  t.equal(container.resources.limits.cpu, undefined);
});

t.test('its rights: lists and watches, and a condition', { skip }, async (t) => {
  const objects = await render('overlays/node');
  t.strictSame(one(objects, 'ClusterRole', NAME)['rules'], [
    { apiGroups: [''], resources: ['namespaces', 'pods'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] },
  ]);
  const bindings = objects.filter(({ subjects }) => subjects?.some(({ name }: Named) => name === NAME));
  t.strictSame(
    bindings.map(({ kind, roleRef }) => [kind, roleRef.kind, roleRef.name]),
    [['ClusterRoleBinding', 'ClusterRole', NAME]],
  );
});

t.test('the policy is bound, denies, and is asked about agents only', { skip }, async (t) => {
  const objects = await render('overlays/node');
  const { spec } = one(objects, 'ValidatingAdmissionPolicy', NAME);
  t.equal(spec.failurePolicy, 'Fail');
  t.strictSame(spec.matchConstraints.resourceRules[0].resources, ['pods/status']);
  t.match(spec.matchConditions[0].expression, `== 'system:serviceaccount:${OWN_NAMESPACE}:${NAME}'`);
  t.strictSame(one(objects, 'ValidatingAdmissionPolicyBinding', NAME).spec, {
    policyName: NAME,
    validationActions: ['Deny'],
  });
  const texts = spec.validations.map(({ expression }: Named) => expression).join('\n');
  for (const [type] of texts.matchAll(/[a-z-]+\.io\/[a-z]+/g)) t.equal(type, GUARDED_CONDITION);
  for (const { message, messageExpression } of spec.validations) t.ok(message ?? messageExpression);
});

t.test('webhook and agents are told the same mode', { skip }, async (t) => {
  const modes = (objects: Rendered[]) =>
    [one(objects, 'Deployment').spec.template.spec.containers[0], containerOf(objects)].map((container) =>
      variable(container, NODE_MODE_VARIABLE),
    );
  t.strictSame(modes(await withComponents()), ['available', 'available']);
  t.strictSame(modes(await withComponents('default')), ['default', 'default']);
});

t.test('legacy-iptables: NET_RAW, and nothing else', { skip }, async (t) => {
  const expected = await render('overlays/node');
  containerOf(expected).securityContext.capabilities.add.push('NET_RAW');
  t.strictSame(await withComponents('legacy-iptables'), expected);
});

t.test("resets: the option, and the node's tracefs outside of /sys", { skip }, async (t) => {
  const objects = await withComponents('resets');
  t.equal(variable(containerOf(objects), 'INVALID_DROP_RESETS'), 'enabled');
  const mount = containerOf(objects).volumeMounts.find(({ name }: Named) => name === 'tracefs');
  t.match(mount, { mountPath: '/host/sys/kernel/tracing', mountPropagation: 'HostToContainer' });
  const volume = podOf(objects).volumes.find(({ name }: Named) => name === 'tracefs');
  t.strictSame(volume.hostPath, { path: '/sys/kernel/tracing', type: 'Directory' });
  t.equal(podOf(objects).volumes.length, 4);
});

t.test('agents go with every overlay, and their image is set like the others', { skip }, async (t) => {
  for (const overlay of ['cert-manager', 'fail-closed', 'monitoring']) {
    const objects = await renderOwn(
      JSON.stringify({
        resources: [`path/to/invalid-drop/manifests/overlays/${overlay}`],
        components: ['path/to/invalid-drop/manifests/node-agent'],
        images: [
          { name: 'localhost/invalid-drop/node-agent', newName: 'registry.example/node-agent', newTag: '9.9.9' },
        ],
      }),
    );
    t.equal(containerOf(objects).image, 'registry.example/node-agent:9.9.9', overlay);
    t.equal(variable(one(objects, 'Deployment').spec.template.spec.containers[0], NODE_MODE_VARIABLE), 'available');
  }
});

t.test('Prometheus finds the agents, by node, and their metrics name the pods that they guard', { skip }, async (t) => {
  const monitor = one(await render('monitoring'), 'PodMonitor', 'invalid-drop-node-agents');
  const { metadata, spec } = one(await render('overlays/node'), 'DaemonSet', NAME);
  t.equal(monitor.metadata.namespace, metadata.namespace);
  t.strictSame(monitor.spec.selector.matchLabels, spec.template.metadata.labels);
  const [endpoint] = monitor.spec.podMetricsEndpoints;
  t.equal(endpoint.port, spec.template.spec.containers[0].ports[0].name);
  t.equal(endpoint.honorLabels, true);
  t.same(
    endpoint.relabelings.map(({ targetLabel }: Record<string, string>) => targetLabel),
    ['job', 'node'],
  );
});

t.test('the page about node mode has every reason of the condition, with its status', async (t) => {
  const page = await readFile(new URL('../../docs/node-mode.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(True|False|Unknown)` \| `(\w+)` \|/gm)].map(([, status, reason]) => [
    reason,
    status,
  ]);
  t.strictSame(Object.fromEntries(rows), CONDITION_REASONS);
});
