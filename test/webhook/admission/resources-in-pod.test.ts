// What becomes of the QoS class and of the resources of random pods. The seed is printed; SEED=... repeats a run.
import t from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../../lib/contract.ts';
import { isObject, type JsonObject, objectAt } from '../../../lib/json.ts';
import { decide } from '../../../webhook/admission/admission.ts';
import { containerResources } from '../../../webhook/admission/container-resources.ts';
import type { InjectionSettings } from '../../../webhook/admission/containers.ts';
import { buildPatch, patchInputs } from '../../../webhook/admission/patch.ts';
import { aggregate, qosClass, refusals } from './api-server-resources.ts';
import { creationOf, SETTINGS } from './injection-settings.ts';
import { applyPatch, byName, type PatchedPod } from './patched-pod.ts';
import { pick, type Random, randomPod, seeded } from './random-pod.ts';

const ROUNDS = 2000;
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
t.comment(`SEED=${seed}`);

const CONFIGURED = [
  'cpu=10m:1,memory=32Mi:128Mi',
  'cpu=10m:200m,memory=32Mi:128Mi',
  'cpu=20m,memory=64Mi',
  'cpu=50m:50m,memory=64Mi:64Mi',
  'cpu=1:2,memory=256Mi',
  'cpu=10m,memory=32Mi:64Mi,ephemeral-storage=5Mi:10Mi,hugepages-2Mi=4Mi,vendor.example/nic=1',
];
const ANNOTATED = ['cpu=50m:100m', 'memory=128Mi:512Mi', 'cpu=40m:40m,memory=64Mi:64Mi', 'ephemeral-storage=1Mi'];

function* injections(settingsOf: (random: Random) => InjectionSettings) {
  const random = seeded(seed);
  for (let round = 0; round < ROUNDS; round += 1) {
    const settings = settingsOf(random);
    const sent = budgeted(random, annotated(random, randomPod(random)));
    const decision = decide(creationOf(sent), undefined, settings);
    if (decision.result !== 'inject') continue;
    const patch = buildPatch(patchInputs(decision.pod, decision.plan, settings), settings);
    yield { round, sent, patched: applyPatch(sent, patch) };
  }
}

const anySettings = (random: Random): InjectionSettings => ({
  ...SETTINGS,
  nativeSidecars: random() < 0.7,
  initResources: containerResources(pick(random, CONFIGURED)),
  checkerResources: containerResources(pick(random, CONFIGURED)),
});

function annotated(random: Random, pod: JsonObject): JsonObject {
  const metadata = objectAt(pod, 'metadata');
  if (!isObject(metadata['annotations']) || random() < 0.5) return pod;
  const name = pick(random, ['invalid-drop.io/init-resources', 'invalid-drop.io/checker-resources']);
  const annotations = { ...metadata['annotations'], [name]: pick(random, ANNOTATED) };
  return { ...pod, metadata: { ...metadata, annotations } };
}

/** Some pods have resources as a whole: exactly what their containers have, so that nothing is left for ours. */
function budgeted(random: Random, pod: JsonObject): JsonObject {
  if (random() < 0.6) return pod;
  const of = (amounts: Record<string, number>) =>
    Object.fromEntries(
      Object.entries(amounts).flatMap(([name, value]) => (random() < 0.8 ? [[name, `${value}m`] as const] : [])),
    );
  const limits = of(aggregate(pod, 'limits'));
  const defaults = Object.fromEntries(Object.keys(limits).map((name) => [name, aggregate(pod, 'requests')[name] ?? 0]));
  const requests = { ...of(aggregate(pod, 'requests')), ...of(defaults) };
  const resources = pick(random, [{ requests, limits }, { requests }, {}, { requests: limits, limits }]);
  return { ...pod, spec: { ...objectAt(pod, 'spec'), resources } };
}

t.test('what was Guaranteed stays Guaranteed, and nothing else becomes so', async (t) => {
  const count: Record<string, number> = {};
  for (const { round, sent, patched } of injections(anySettings)) {
    const [before, after] = [qosClass(sent), qosClass(patched)];
    count[before] = (count[before] ?? 0) + 1;
    if ((before === 'Guaranteed') !== (after === 'Guaranteed'))
      t.fail(`round ${round}: ${before} to ${after}`, { patched });
  }
  t.comment(JSON.stringify(count));
  for (const name of ['Guaranteed', 'Burstable', 'BestEffort']) t.ok((count[name] ?? 0) > 50, name);
});

t.test('what the API server accepted before, it accepts after', async (t) => {
  let count = 0;
  for (const { round, sent, patched } of injections(anySettings)) {
    if (refusals(sent).length > 0) continue;
    count += 1;
    if (refusals(patched).length > 0) t.fail(`round ${round}`, { refusals: refusals(patched), patched });
  }
  t.ok(count > 500, `${count} pods`);
});

t.test('a Guaranteed pod reserves the CPU of the checker more, and no core of its own for ours', async (t) => {
  let count = 0;
  for (const { round, sent, patched } of injections(() => SETTINGS)) {
    const ours = [INIT_CONTAINER, CHECKER_CONTAINER].map((name) => cpuOf(patched, name));
    if (qosClass(sent) !== 'Guaranteed' || isObject(objectAt(sent, 'spec')['resources'])) continue;
    count += 1;
    const [before, after] = [sent, patched].map((pod) => aggregate(pod, 'requests')['cpu'] ?? 0);
    const allowed = Math.max((before ?? 0) + Number.parseInt(ours[1] ?? '0', 10), 200);
    if ((after ?? 0) > allowed) t.fail(`round ${round}: ${before} to ${after}`, { patched });
    if (ours.some((cpu) => cpu !== undefined && /000m$|\d$/.test(cpu))) t.fail(`round ${round}: whole cores`, { ours });
  }
  t.ok(count > 50, `${count} pods`);
});

function cpuOf({ spec }: PatchedPod, name: string): string | undefined {
  const container = byName([...(spec.initContainers ?? []), ...spec.containers], name);
  return objectAt(container, 'resources', 'requests')['cpu'] as string | undefined;
}
