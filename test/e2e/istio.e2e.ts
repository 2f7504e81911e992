// Pods that Istio's injector changes too: before us, after us, and once more after both.

import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { CHECK_COMMAND, CHECKER_CONTAINER } from '../../lib/contract.ts';
import { create, kubectl } from '../harness/cluster/kubectl.ts';
import { node, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { APP_IMAGE, barePod, type Container, containerNames, type Pod } from '../harness/cluster/pod-status.ts';
import { runIstioInjector } from '../harness/cluster/stand-in-injector.ts';
import { optedInNamespace } from '../harness/cluster/test-workloads.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

/** No scheduler has this name: such a pod is stored and never runs. */
const STORED_ONLY = { schedulerName: 'nobody' };
const OURS = [CHECKER_CONTAINER];
const ISTIO = ['istio-init', 'istio-proxy'];

t.before(() => install());

interface Case {
  pod: Pod;
  settings?: object;
  expect: {
    skip?: string;
    inject?: { initContainers: string[]; containers: string[]; annotations?: object; checker?: object };
  };
}

/** Pods that Istio's injector has changed, and what is expected of them, by file name. */
function istioCases(): Map<string, Case> {
  const folder = new URL('../webhook/admission/cases/', import.meta.url);
  const files = readdirSync(folder).filter((file) => /^(istio|reinvocation|exclude|include)-/.test(file));
  const cases = files.map((file): [string, Case] => [
    file.replace('.json', ''),
    JSON.parse(readFileSync(new URL(file, folder), 'utf8')),
  ]);
  return new Map(cases.filter(([, { settings }]) => settings === undefined));
}

/** Some cases name no image, which the API server demands. */
function storable(spec: Pod['spec']): Pod['spec'] {
  const withImage = (container: Container) => ({ ...container, image: container.image ?? APP_IMAGE });
  const { initContainers } = spec;
  return {
    ...spec,
    ...(initContainers && { initContainers: initContainers.map(withImage) }),
    containers: spec.containers.map(withImage),
  };
}

/** A stored pod as it would be sent again. */
function resend(pod: Pod): object {
  const { name, namespace, annotations, labels } = pod.metadata;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, annotations, labels }, spec: pod.spec };
}

/** Expected parts; in them null stands for "not there". */
function hasParts(t: Test, actual: unknown, parts: object | undefined, what: string): void {
  const text = JSON.stringify(parts ?? {}, (_, value) => (value === null ? undefined : value));
  t.match(actual, JSON.parse(text), what);
}

t.test(
  'pods that Istio has injected are stored with our container, and sent again they are stored byte for byte the same',
  async (t) => {
    const namespace = await optedInNamespace(t);
    const cases = istioCases();
    const pods = [...cases].map(([name, { pod }]) => ({
      ...pod,
      metadata: { ...pod.metadata, name, namespace },
      spec: storable({ ...pod.spec, ...STORED_ONLY }),
    }));
    const stored = await create<Pod>(...pods);
    t.ok(stored.length > 10, `${stored.length} pods`);
    for (const pod of stored) {
      const { name } = pod.metadata;
      const { inject } = cases.get(name)?.expect ?? {};
      const names = containerNames(pod);
      t.same(
        names.filter((one) => OURS.includes(one)),
        OURS,
        `${name}: ours once`,
      );
      if (!inject) continue;
      t.same(names, [...inject.initContainers, ...inject.containers], `${name}: in order`);
      hasParts(t, pod.metadata.annotations, inject.annotations, `${name}: annotations`);
      const checker = pod.spec.initContainers?.find((container) => container.name === CHECKER_CONTAINER);
      hasParts(t, checker, inject.checker, `${name}: checker`);
    }
    await kubectl(['delete', 'pods', '--all', '-n', namespace, '--grace-period=0', '--force']);
    const again = await create<Pod>(...stored.map(resend));
    const text = (all: Pod[]) => all.map(({ metadata, spec }) => JSON.stringify([metadata.annotations, spec]));
    t.same(text(again), text(stored));
  },
);

/** Webhook calls in the audit log of a pod's creation: round, configuration, whether it changed the pod. */
async function callsFor(name: string): Promise<string[]> {
  const event = await eventually(`the audit log knows ${name}`, async () => {
    const lines = (await readFile(node().auditLog, 'utf8')).split('\n');
    const line = lines.find((one) => one.includes(`"name":"${name}"`) && one.includes('mutation.webhook'));
    return line && JSON.parse(line);
  });
  const notes = Object.entries(event.annotations as Record<string, string>);
  return notes
    .filter(([key]) => key.startsWith('mutation.webhook.admission.k8s.io/'))
    .sort()
    .map(([key, text]) => {
      const { configuration, mutated } = JSON.parse(text);
      return `${/round_\d/.exec(key)} ${configuration} ${mutated}`;
    });
}

t.test(
  "Istio's injector is called after us: we are called again, and change nothing",
  { skip: skipWithoutNode },
  async (t) => {
    const namespace = await optedInNamespace(t);
    await runIstioInjector(t, 'z-e2e-istio', namespace);
    const [pod] = await create<Pod>(barePod(namespace, `after-${namespace}`, STORED_ONLY));
    if (!pod) throw new Error('not created');
    t.same(containerNames(pod), [...ISTIO, ...OURS, 'app']);
    t.match(
      pod.spec.initContainers?.[0]?.['args'],
      ['istio-iptables', '-b', '*', '-d', /,15099\b/],
      'it exempts our port',
    );
    t.same(await callsFor(pod.metadata.name), [
      'round_0 invalid-drop-injector true',
      'round_0 z-e2e-istio true',
      'round_1 invalid-drop-injector false',
    ]);
  },
);

t.test("Istio's injector is called before us: ours comes before its own", { skip: skipWithoutNode }, async (t) => {
  const namespace = await optedInNamespace(t);
  await runIstioInjector(t, 'e2e-istio', namespace);
  const [pod] = await create<Pod>(barePod(namespace, `before-${namespace}`, STORED_ONLY));
  if (!pod) throw new Error('not created');
  t.same(containerNames(pod), [...OURS, ...ISTIO, 'app']);
  const probe = { exec: { command: CHECK_COMMAND } };
  t.match(
    pod.spec.initContainers?.[0]?.['readinessProbe'],
    probe,
    'it exempts no port of ours, and the probe needs none',
  );
  // Again because the API server has mounted the service account's token into our containers.
  t.same(await callsFor(pod.metadata.name), [
    'round_0 e2e-istio true',
    'round_0 invalid-drop-injector true',
    'round_1 invalid-drop-injector false',
  ]);
});
