import t from 'tap';
import { CHECKER_PORT, OPT_IN_LABEL } from '../../lib/contract.ts';
import { NO_POD_LEVEL } from '../../lib/pod/pod-view.ts';
import { checkerContainer } from '../../webhook/admission/containers.ts';
import { configurationFinding } from '../../webhook/selfcheck/configuration-finding.ts';
import { neededPermissions } from '../../webhook/selfcheck/selfchecks.ts';
import { findKubectl, one, type Rendered, render } from './render.ts';

const FOLDERS = ['.', 'overlays/cert-manager', 'overlays/fail-closed', 'overlays/monitoring', 'overlays/node'];
const OPTIONS = {
  mode: 'enforce',
  protocol: 'tcp',
  onDrift: 'repair',
  rescue: 'enabled',
  checker: 'enabled',
  port: 15099,
} as const;
const skip = (await findKubectl()) ? false : 'kubectl is missing: install it, or run make cluster-up once';

function permissionsOf(objects: Rendered[]): string[] {
  const rules = objects
    .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
    .flatMap(({ kind, rules: own }) => own.map((rule: object) => ({ kind, ...rule })));
  return rules
    .flatMap(({ kind, apiGroups, resources, verbs, resourceNames = [''] }) =>
      apiGroups.flatMap((group: string) =>
        resources.flatMap((resource: string) =>
          verbs.flatMap((verb: string) =>
            resourceNames.map((name: string) =>
              `${kind === 'Role' ? 'own ' : ''}${verb} ${group}/${resource} ${name}`.trim(),
            ),
          ),
        ),
      ),
    )
    .sort();
}

function neededBy(features: Parameters<typeof neededPermissions>[0]): string[] {
  return neededPermissions(features)
    .flatMap(({ verbs, group, resource, name = '', namespace }) =>
      verbs.map((verb) => `${namespace ? 'own ' : ''}${verb} ${group}/${resource} ${name}`.trim()),
    )
    .sort();
}

t.test('every folder renders, with one namespace, no image without a tag, and no latest', { skip }, async (t) => {
  for (const folder of FOLDERS) {
    const objects = await render(folder);
    const podSecurity = folder === 'overlays/node' ? 'privileged' : 'restricted';
    t.equal(one(objects, 'Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'], podSecurity, folder);
    const text = JSON.stringify(objects);
    t.notMatch(text, /:latest/);
    for (const [reference] of text.matchAll(/localhost\/invalid-drop\/[a-z-]+[^"]*/g))
      t.match(reference, /:\d+\.\d+\.\d+$/);
    for (const { kind, metadata } of objects)
      t.equal(metadata.labels?.['app.kubernetes.io/name'], 'invalid-drop', `${kind} ${metadata.name}`);
  }
});

t.test('the rights are those that the webhook asks for, and no more', { skip }, async (t) => {
  const all = { secret: true, coverage: true, events: true };
  for (const folder of ['.', 'overlays/fail-closed', 'overlays/monitoring']) {
    t.strictSame(permissionsOf(await render(folder)), neededBy(all), folder);
  }
  t.strictSame(permissionsOf(await render('overlays/cert-manager')), neededBy({ ...all, secret: false }));
});

t.test('the webhook configuration is what the self-check asks for, and fails open', { skip }, async (t) => {
  const configuration = one(await render('.'), 'MutatingWebhookConfiguration', 'invalid-drop-injector');
  t.strictSame(configurationFinding(configuration), { ok: true, detail: 'failurePolicy Ignore' });
  const [webhook] = configuration['webhooks'];
  t.match(webhook, { timeoutSeconds: 5, matchPolicy: 'Equivalent', admissionReviewVersions: ['v1'] });
  t.strictSame(
    webhook.matchConditions.map(({ name }: { name: string }) => name),
    ['not-host-network', 'not-mirror-pod'],
  );
  t.equal(webhook.clientConfig.caBundle, undefined, 'the webhook puts it in, and applying again does not take it away');
});

t.test('the Deployment never has fewer replicas, and gives each the time to leave', { skip }, async (t) => {
  const { spec } = one(await render('.'), 'Deployment');
  t.equal(spec.replicas, 2);
  t.match(spec.strategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 });
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const stays = container.lifecycle.preStop.sleep.seconds;
  t.ok(pod.terminationGracePeriodSeconds > stays + 10 + 10, 'preStop, drain-seconds and the time to close');
  t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  t.match(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
    t.equal(container[probe].httpGet.port, 'metrics');
  t.ok(container.resources.requests.cpu && container.resources.limits.memory);
  t.equal(one(await render('.'), 'PodDisruptionBudget').spec.maxUnavailable, 1);
});

t.test(
  'Service, budget, policy and spread select the pods of the Deployment, and their ports are there',
  { skip },
  async (t) => {
    const objects = await render('.');
    const { selector, template } = one(objects, 'Deployment').spec;
    const { labels } = template.metadata;
    t.strictSame(selector.matchLabels, labels);
    t.strictSame(one(objects, 'Service').spec.selector, labels);
    t.strictSame(one(objects, 'PodDisruptionBudget').spec.selector.matchLabels, labels);
    const policy = one(objects, 'NetworkPolicy').spec;
    t.strictSame(policy.podSelector.matchLabels, labels);
    for (const { labelSelector } of template.spec.topologySpreadConstraints)
      t.strictSame(labelSelector.matchLabels, labels);
    const ports = template.spec.containers[0].ports.map(({ name }: { name: string }) => name);
    t.strictSame(
      one(objects, 'Service').spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort),
      ports,
    );
    t.strictSame(
      policy.ingress[0].ports.map(({ port }: { port: string }) => port),
      ports,
    );
    t.match(
      policy.egress.find(({ to }: { to?: object }) => to),
      {
        to: [{ namespaceSelector: { matchExpressions: [{ key: OPT_IN_LABEL, operator: 'Exists' }] } }],
        ports: [{ port: CHECKER_PORT }],
      },
      'collection reaches the checkers',
    );
  },
);

t.test('the token is given to the Deployment alone', { skip }, async (t) => {
  const objects = await render('.');
  const account = one(objects, 'ServiceAccount');
  t.equal(account['automountServiceAccountToken'], false);
  t.match(one(objects, 'Deployment').spec.template.spec, {
    serviceAccountName: account.metadata.name,
    automountServiceAccountToken: true,
  });
});

t.test('monitoring looks for ports that are there', { skip }, async (t) => {
  const objects = await render('overlays/monitoring');
  const { ports } = checkerContainer(
    NO_POD_LEVEL,
    OPTIONS,
    { image: '', legacyIptables: false, checkerResources: { requests: {}, limits: {} } },
    'http',
  );
  const { spec } = one(objects, 'PodMonitor', 'invalid-drop-checkers');
  t.strictSame(spec.namespaceSelector, { any: true });
  t.equal(spec.podMetricsEndpoints[0].port, ports[0]?.name);
  const monitor = one(objects, 'ServiceMonitor').spec;
  const service = one(objects, 'Service');
  t.match(service.metadata.labels, monitor.selector.matchLabels);
  t.ok(service.spec.ports.some(({ name }: { name: string }) => name === monitor.endpoints[0].port));
  t.equal(monitor.endpoints[0].honorLabels, true, 'or the namespace of the counted pods is overwritten');
});

t.test('fail-closed: Fail, and a replica more', { skip }, async (t) => {
  const objects = await render('overlays/fail-closed');
  t.equal(one(objects, 'MutatingWebhookConfiguration')['webhooks'][0].failurePolicy, 'Fail');
  t.equal(one(objects, 'Deployment').spec.replicas, 3);
});

t.test(
  'cert-manager: the certificate is mounted where the webhook reads it, and its CA injected',
  { skip },
  async (t) => {
    const objects = await render('overlays/cert-manager');
    const { spec } = one(objects, 'Deployment').spec.template;
    const certificate = one(objects, 'Certificate', 'invalid-drop-webhook');
    t.equal(spec.volumes[0].secret.secretName, certificate.spec.secretName);
    t.equal(spec.containers[0].volumeMounts[0].mountPath, '/etc/invalid-drop/tls');
    const env = Object.fromEntries(
      spec.containers[0].env.map(({ name, value }: { name: string; value: string }) => [name, value]),
    );
    t.match(env, { INVALID_DROP_CERTIFICATES: 'directory', INVALID_DROP_KUBECONFIG: 'in-cluster' });
    t.equal(
      one(objects, 'MutatingWebhookConfiguration').metadata.annotations?.['cert-manager.io/inject-ca-from'],
      `${certificate.metadata.namespace}/${certificate.metadata.name}`,
    );
  },
);
