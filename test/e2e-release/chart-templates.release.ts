// What helm makes of the chart: the same objects as kustomize, and an error for each value that is not allowed. No cluster.
import { loadAllYaml } from '@kubernetes/client-node';
import t from 'tap';
import { AGENT_PORT, CHECKER_PORT } from '../../lib/contract.ts';
import { CHART, helm, plainHelm, RELEASE, setValues, tryHelm } from '../harness/helm/helm-program.ts';
import { one, type Rendered, render, renderOwn } from '../manifests/render.ts';

const COMPONENT =
  'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [path/to/invalid-drop/manifests]\n';
const components = (...folders: string[]) =>
  `${COMPONENT}components: ${JSON.stringify(['', ...folders].map((folder) => `path/to/invalid-drop/manifests/node-agent${folder}`))}\n`;
const AGENTS = { 'nodeAgent.enabled': true };

/** Every choice of the kustomization, and the values that are the same. */
const CHOICES: [name: string, objects: () => Promise<Rendered[]>, values: object][] = [
  ['the defaults', () => render('.'), {}],
  ['cert-manager', () => render('overlays/cert-manager'), { 'certManager.enabled': true }],
  ['fail-closed', () => render('overlays/fail-closed'), { failurePolicy: 'Fail' }],
  ['monitoring', () => render('overlays/monitoring'), { 'monitoring.enabled': true }],
  ['node', () => render('overlays/node'), AGENTS],
  ['node-agent/default', () => renderOwn(components('/default')), { ...AGENTS, 'nodeAgent.mode': 'default' }],
  ['node-agent/resets', () => renderOwn(components('/resets')), { ...AGENTS, 'nodeAgent.resets': true }],
  [
    'node-agent/legacy-iptables',
    () => renderOwn(components('/legacy-iptables')),
    { ...AGENTS, 'nodeAgent.legacyIptables': true },
  ],
];

async function template(...args: string[]): Promise<Rendered[]> {
  const objects = loadAllYaml(await helm('template', RELEASE, CHART, ...args));
  return JSON.parse(JSON.stringify(objects)).filter((object: unknown) => object !== null);
}

const nameOf = ({ kind, metadata }: Rendered) => `${kind} ${metadata.name}`;

/** By kind and name. The order of variables does not count: none of them uses another. */
function byName(objects: Rendered[]): Record<string, Rendered> {
  for (const { spec } of objects) {
    for (const container of spec?.template?.spec?.containers ?? [])
      container.env?.sort((a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name));
  }
  return Object.fromEntries(
    objects.map((object) => [nameOf(object), object] as const).sort(([a], [b]) => a.localeCompare(b)),
  );
}

/** helm makes the namespace, and the test is no part of the installation. */
const NOT_IN_THE_CHART = ['Namespace invalid-drop-system'];
const ONLY_IN_THE_CHART = ['Pod invalid-drop-selfcheck'];

for (const [name, objects, values] of CHOICES) {
  t.test(`${name}: the chart gives the objects of the kustomization`, async (t) => {
    const wanted = (await objects()).filter((object) => !NOT_IN_THE_CHART.includes(nameOf(object)));
    const made = await template(...setValues(values));
    t.strictSame(made.filter((object) => ONLY_IN_THE_CHART.includes(nameOf(object))).length, 1);
    t.strictSame(byName(made.filter((object) => !ONLY_IN_THE_CHART.includes(nameOf(object)))), byName(wanted));
  });
}

t.test('the values files of ci/ are the same choices', async (t) => {
  for (const [name, , values] of CHOICES.filter(([name]) =>
    ['cert-manager', 'fail-closed', 'monitoring', 'node'].includes(name),
  )) {
    t.strictSame(await template('-f', `${CHART}/ci/${name}-values.yaml`), await template(...setValues(values)), name);
  }
});

t.test('helm lint has no warning', async (t) => {
  const { exitCode, stdout, stderr } = await plainHelm('lint', '--strict', CHART);
  t.equal(exitCode, 0, stdout + stderr);
});

// One value at a time.

const variable = (env: { name: string; value?: string }[], name: string) => env.find((one) => one.name === name)?.value;
const containerOf = (object: Rendered) => object.spec.template.spec.containers[0];

t.test('options reach the webhook, and those of pods the agents too', async (t) => {
  const objects = await template(
    ...setValues({
      ...AGENTS,
      'options.mode': 'observe',
      'options.bodyLimit': 8_388_608,
      'options.drainSeconds': 30,
      'options.imagePullSecrets': ['one', 'two'],
      'options.meshExcludeInboundPorts': '9000,9001',
      'nodeAgent.options.commandTimeout': 20,
    }),
  );
  const webhook = one(objects, 'Deployment');
  const { env } = containerOf(webhook);
  t.equal(variable(env, 'INVALID_DROP_MODE'), 'observe');
  t.equal(variable(env, 'INVALID_DROP_BODY_LIMIT'), '8388608');
  t.equal(variable(env, 'INVALID_DROP_IMAGE_PULL_SECRETS'), 'one,two');
  t.equal(variable(env, 'INVALID_DROP_MESH_EXCLUDE_INBOUND_PORTS'), '9000,9001');
  t.equal(webhook.spec.template.spec.terminationGracePeriodSeconds, 60, 'the time to drain is given');
  const agent = containerOf(one(objects, 'DaemonSet')).env;
  t.equal(variable(agent, 'INVALID_DROP_MODE'), 'observe');
  t.equal(variable(agent, 'INVALID_DROP_COMMAND_TIMEOUT'), '20');
  t.equal(variable(agent, 'INVALID_DROP_BODY_LIMIT'), undefined);
});

t.test('the webhook may reach checkers and agents at the ports that they have, and only to collect', async (t) => {
  const portsTo = async (values: object) =>
    one(await template(...setValues(values)), 'NetworkPolicy', 'invalid-drop-webhook')
      .spec.egress.filter(({ to }: Rendered) => to !== undefined)
      .flatMap(({ ports }: Rendered) => ports);
  t.same(await portsTo({ 'options.checkerPort': 16_000 }), [{ port: 16_000 }]);
  t.same(await portsTo({ 'options.collect': 'disabled', ...AGENTS }), []);
  t.same(await portsTo(AGENTS), [{ port: CHECKER_PORT }, { port: AGENT_PORT }]);
});

t.test('images come from one registry, or each from its own, by tag or by digest', async (t) => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
  const objects = await template(
    ...setValues({
      ...AGENTS,
      'global.imageRegistry': 'registry.example:5000/invalid-drop',
      'webhook.image.tag': '9.9.9',
      'injected.image.digest': digest,
      'nodeAgent.image.registry': 'other.example',
      'nodeAgent.image.repository': 'a/agent',
    }),
  );
  const webhook = containerOf(one(objects, 'Deployment'));
  t.equal(webhook.image, 'registry.example:5000/invalid-drop/webhook:9.9.9');
  t.equal(one(objects, 'Pod').spec.containers[0].image, webhook.image);
  t.equal(variable(webhook.env, 'INVALID_DROP_IMAGE'), `registry.example:5000/invalid-drop/init-image@${digest}`);
  t.match(containerOf(one(objects, 'DaemonSet')).image, /^other\.example\/a\/agent:\d+\.\d+\.\d+$/);
});

t.test('where pods run and what they carry is theirs to say', async (t) => {
  const affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } };
  const own = {
    priorityClassName: 'system-cluster-critical',
    nodeSelector: { pool: 'system' },
    tolerations: [{ key: 'system', operator: 'Exists' }],
    affinity,
  };
  const objects = await template(
    ...setValues({
      'global.imagePullSecrets': [{ name: 'registry' }],
      'webhook.replicas': 5,
      'webhook.podLabels': { team: 'network' },
      'webhook.podAnnotations': { note: 'ours' },
      'webhook.resources.limits.memory': '512Mi',
      ...Object.fromEntries(Object.entries(own).map(([name, value]) => [`webhook.${name}`, value])),
    }),
  );
  const { spec } = one(objects, 'Deployment');
  t.equal(spec.replicas, 5);
  const imagePullSecrets = [{ name: 'registry' }];
  t.match(spec.template.metadata, {
    labels: { 'app.kubernetes.io/component': 'webhook', team: 'network' },
    annotations: { note: 'ours' },
  });
  t.match(spec.template.spec, { ...own, imagePullSecrets });
  t.match(spec.template.spec.containers[0].resources, { requests: { memory: '128Mi' }, limits: { memory: '512Mi' } });
  t.match(one(objects, 'Pod').spec, { ...own, imagePullSecrets });
});

t.test('nothing that is made at the install is in the templates: no Secret, no caBundle', async (t) => {
  const text = JSON.stringify(await template(...setValues(AGENTS)));
  t.notMatch(text, '"kind":"Secret"');
  t.notMatch(text, 'caBundle');
});

const REFUSED: [values: object, message: RegExp][] = [
  [{ 'options.mode': 'strict' }, /options\/mode.*'enforce', 'observe'/],
  [{ 'options.checkerPort': 80 }, /options\/checkerPort.*1,?024/],
  [{ 'options.drainSeconds': '10' }, /options\/drainSeconds.*integer/],
  [{ 'options.checkerResources': 'cpu' }, /options\/checkerResources/],
  [{ 'options.onDrfit': 'repair' }, /options.*onDrfit/],
  [{ 'options.kubeconfig': 'a' }, /options.*kubeconfig/],
  [{ failurePolicy: 'ignore' }, /failurePolicy.*'Ignore', 'Fail'/],
  [{ 'webhook.replicas': 0 }, /webhook\/replicas/],
  [{ 'webhook.image.digest': '0123' }, /webhook\/image\/digest/],
  [{ 'webhook.podLabels': { 'app.kubernetes.io/name': 'other' } }, /webhook\/podLabels/],
  [
    { 'webhook.podAnnotations': { 'container.apparmor.security.beta.kubernetes.io/webhook': 'unconfined' } },
    /webhook\/podAnnotations/,
  ],
  [{ 'webhook.securityContext': { privileged: true } }, /webhook.*securityContext/],
  [{ 'nodeAgent.mode': 'disabled' }, /nodeAgent\/mode/],
  [{ 'global.imagePullSecrets': ['registry'] }, /global\/imagePullSecrets/],
  [{ image: 'a' }, /image/],
];

for (const [values, message] of REFUSED) {
  t.test(`refused: ${JSON.stringify(values)}`, async (t) => {
    const { exitCode, stderr } = await tryHelm('template', RELEASE, CHART, ...setValues(values));
    t.not(exitCode, 0);
    t.match(stderr, message);
  });
}

t.test('another namespace is refused, with the arguments that help', async (t) => {
  const { exitCode, stderr } = await plainHelm('template', RELEASE, CHART, '--namespace', 'elsewhere');
  t.not(exitCode, 0);
  t.match(stderr, /has to be installed in the namespace invalid-drop-system, not in "elsewhere"/);
  t.match(stderr, '--namespace invalid-drop-system --create-namespace');
});
