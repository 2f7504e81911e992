// What docs/install.md promises to users with a kustomization of their own.
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { findKubectl, one, type Rendered, renderOwn } from './render.ts';

const REGISTRY = 'registry.example:5000/invalid-drop';
const skip = (await findKubectl()) ? false : 'kubectl is missing: install it, or run make cluster-up once';
const page = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const example = (text: string, name: string) =>
  new RegExp(`<!-- tested: ${name} -->\\n\`\`\`yaml\\n([^\`]+)\`\`\``).exec(text)?.[1] ?? '';
const EXAMPLE = example(await page('install.md'), 'own kustomization');

function imagesOf(objects: Rendered[]): [string, string] {
  const [container] = one(objects, 'Deployment').spec.template.spec.containers;
  const { value } = container.env.find(({ name }: { name: string }) => name === 'INVALID_DROP_IMAGE');
  return [container.image, value];
}

t.test('the example of the page renders, with everything that it is said to change', { skip }, async (t) => {
  const objects = await renderOwn(EXAMPLE);
  t.strictSame(imagesOf(objects), [`${REGISTRY}/webhook:0.1.0`, `${REGISTRY}/init-image:0.1.0`]);
  t.notMatch(JSON.stringify(objects), 'localhost/invalid-drop');
  const { replicas, template } = one(objects, 'Deployment').spec;
  t.equal(replicas, 3);
  t.equal(template.spec.priorityClassName, 'system-cluster-critical');
  t.match(template.spec.containers[0].env.at(-1), { name: 'INVALID_DROP_MODE', value: 'observe' });
  const configuration = one(objects, 'MutatingWebhookConfiguration');
  t.equal(configuration['webhooks'][0].failurePolicy, 'Fail');
  t.ok(configuration.metadata.annotations?.['cert-manager.io/inject-ca-from']);
  t.ok(one(objects, 'PodMonitor', 'invalid-drop-checkers'));
  for (const kind of ['ServiceMonitor', 'PrometheusRule', 'ConfigMap']) t.ok(one(objects, kind), kind);
});

t.test('the example with node agents renders, with agents as the page says', { skip }, async (t) => {
  const objects = await renderOwn(example(await page('node-mode.md'), 'node agents'));
  const [agent] = one(objects, 'DaemonSet').spec.template.spec.containers;
  t.equal(agent.image, `${REGISTRY}/node-agent:0.1.0`);
  const env = new Map(agent.env.map(({ name, value }: { name: string; value: string }) => [name, value]));
  t.equal(env.get('INVALID_DROP_RESETS'), 'enabled');
  t.equal(env.get('INVALID_DROP_NODE_MODE'), 'default');
  t.ok(one(objects, 'Certificate', 'invalid-drop-webhook'));
});

t.test('images can be pinned by digest, for both uses', { skip }, async (t) => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
  const names = ['webhook', 'init-image'];
  const images = names.map((name) => ({
    name: `localhost/invalid-drop/${name}`,
    newName: `${REGISTRY}/${name}`,
    digest,
  }));
  const resources = ['path/to/invalid-drop/manifests'];
  t.strictSame(
    imagesOf(await renderOwn(JSON.stringify({ resources, images }))),
    names.map((name) => `${REGISTRY}/${name}@${digest}`),
  );
});

t.test('a tag alone can be set upon the base, for both uses', { skip }, async (t) => {
  const images = ['webhook', 'init-image'].map((name) => ({ name: `localhost/invalid-drop/${name}`, newTag: '9.9.9' }));
  const resources = ['path/to/invalid-drop/manifests'];
  t.strictSame(imagesOf(await renderOwn(JSON.stringify({ resources, images }))), [
    'localhost/invalid-drop/webhook:9.9.9',
    'localhost/invalid-drop/init-image:9.9.9',
  ]);
});
