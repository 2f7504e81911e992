// Properties of the patch on random pods. The seed is printed; SEED=... repeats a run.
import t from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../../lib/contract.ts';
import { isObject, type JsonObject } from '../../../lib/json.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';
import { decide } from '../../../webhook/admission/admission.ts';
import type { InjectionSettings } from '../../../webhook/admission/containers.ts';
import { EXCLUDE_INBOUND_PORTS } from '../../../webhook/admission/inbound-exemption.ts';
import { isInstallingSidecar } from '../../../webhook/admission/own-containers.ts';
import {
  buildPatch,
  gatePatch,
  makePatchEncoder,
  patchInputs,
  STATUS_ANNOTATION,
} from '../../../webhook/admission/patch.ts';
import { withBuiltContainers } from './built-containers.ts';
import { creationOf, SETTINGS } from './injection-settings.ts';
import { injectIstio } from './istio-injector.ts';
import { INJECTOR_NAMES, OTHER_INJECTORS, type OtherInjector } from './other-injectors.ts';
import { applyPatch, names, type PatchedPod } from './patched-pod.ts';
import { pick, type Random, randomPod, seeded } from './random-pod.ts';

const ROUNDS = 1000;
/** Of a namespace, as the webhook knows them at one time or another. */
const LABELS = [undefined, {}, ...['enabled', 'pod', 'node'].map((value) => ({ 'invalid-drop.io/inject': value }))];
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
t.comment(`SEED=${seed}`);

/** Containers of ours that a pod may come with: a copy of a guarded one, of this version or of the one before. */
const OURS = [
  ...[['init'], ['sidecar'], ['sidecar of the version before'], ['init', 'sidecar']],
  ['init', 'sidecar of the version before'],
];

/** Some pods come with containers of ours, as the webhook builds them. */
function podOrCopy(random: Random, settings: InjectionSettings): JsonObject {
  const pod = randomPod(random);
  if (random() < 0.8) return pod;
  const spec = pod['spec'] as PatchedPod['spec'];
  const others = (list: JsonObject[] | undefined) => (list ?? []).filter((container) => !isOurs(container));
  const copied = pick(random, OURS).map((like) => ({ like }));
  const at = Math.floor(random() * 2);
  const initContainers = others(spec.initContainers).toSpliced(at, 0, ...copied);
  const containers = others(spec.containers);
  return withBuiltContainers({ ...pod, spec: { ...spec, containers, initContainers } }, settings) as JsonObject;
}

const isOurs = ({ name }: JsonObject) => [INIT_CONTAINER, CHECKER_CONTAINER].some((our) => our === name);

/** Random pods that are to be injected, with what comes of them. */
function* injections() {
  const random = seeded(seed);
  for (let round = 0; round < ROUNDS; round += 1) {
    const settings: InjectionSettings = {
      ...SETTINGS,
      nativeSidecars: random() < 0.7,
      meshExcludeInboundPorts: pick(random, ['', '9999', '15099']),
      imagePullSecrets: pick(random, [[], ['registry', 'mirror']]),
    };
    const sent = JSON.stringify(podOrCopy(random, settings));
    const pod = JSON.parse(sent);
    const decision = decide(creationOf(pod), undefined, settings);
    if (decision.result !== 'inject') continue;
    const operations = buildPatch(patchInputs(decision.pod, decision.plan, settings), settings);
    yield { round, settings, sent, pod, operations, patched: applyPatch(pod, operations) };
  }
}

t.test('only additions, and at least one', async (t) => {
  for (const { round, operations } of injections()) {
    const others = operations.filter(({ op }) => op !== 'add');
    if (others.length > 0 || operations.length === 0) t.fail(`round ${round}`, { operations });
  }
  t.pass();
});

t.test('the pod that was sent is not changed while deciding', async (t) => {
  for (const { round, sent, pod } of injections()) {
    if (JSON.stringify(pod) !== sent) t.fail(`round ${round}`, { sent });
  }
  t.pass();
});

t.test('without what was added, the patched pod is what it was', async (t) => {
  for (const { round, sent, patched } of injections()) {
    const original = JSON.parse(sent) as PatchedPod;
    const match = t.matchOnlyStrict(withoutOurs(patched, original), withoutNulls(original), `round ${round}`);
    if (!match) break;
  }
});

t.test('an annotation that was there begins the new value', async (t) => {
  for (const { round, sent, patched } of injections()) {
    const before = JSON.parse(sent).metadata.annotations?.[EXCLUDE_INBOUND_PORTS] ?? '';
    const after = patched.metadata.annotations?.[EXCLUDE_INBOUND_PORTS] ?? '';
    const added = after.slice(before.trim() === '' ? 0 : before.length);
    const entries = after.split(',').filter((port) => port.trim() === '15099').length;
    if (!after.startsWith(before.trim() === '' ? '' : before)) t.fail(`round ${round}`, { before, after });
    if (added.includes('15099') && entries !== 1) t.fail(`round ${round}: twice`, { before, after });
  }
  t.pass();
});

t.test('a pod has each configured pull secret once, unless it came with it twice', async (t) => {
  let added = 0;
  for (const { round, settings, sent, patched } of injections()) {
    const list = (patched.spec['imagePullSecrets'] ?? []) as JsonObject[];
    const before = (JSON.parse(sent).spec.imagePullSecrets ?? []) as JsonObject[];
    for (const name of settings.imagePullSecrets) {
      const count = (secrets: JsonObject[]) => secrets.filter((secret) => secret['name'] === name).length;
      if (count(list) !== Math.max(1, count(before))) t.fail(`round ${round}`, { list });
    }
    added += list.length - before.length;
  }
  t.ok(added > 50, `${added} pull secrets added`);
});

t.test('names stay unique, and what installs is before all others, unless it was there', async (t) => {
  const installs = (container: JsonObject) => container['name'] === INIT_CONTAINER || isInstallingSidecar(container);
  const count = { added: 0, present: 0 };
  for (const { round, sent, patched } of injections()) {
    const init = patched.spec.initContainers ?? [];
    const all = [...names(init), ...names(patched.spec.containers)];
    if (new Set(all).size !== all.length) t.fail(`round ${round}: a name twice`, { all });
    const isThere = ((JSON.parse(sent) as PatchedPod).spec.initContainers ?? []).some(installs);
    count[isThere ? 'present' : 'added'] += 1;
    const [first] = init;
    if (!isThere && !(first && installs(first))) t.fail(`round ${round}: not first`, { all });
    if (!init.some(installs)) t.fail(`round ${round}: nothing installs`, { all });
  }
  for (const [name, pods] of Object.entries(count)) t.ok(pods > 5, `${name}: ${pods}`);
});

t.test('where the cluster has native sidecars, a pod with nothing of ours gets one container', async (t) => {
  let count = 0;
  for (const { round, settings, sent, patched } of injections()) {
    const before = (JSON.parse(sent) as PatchedPod).spec;
    const had = [...(before.initContainers ?? []), ...before.containers].some(isOurs);
    if (had || !settings.nativeSidecars) continue;
    count += 1;
    const ours = [...(patched.spec.initContainers ?? []), ...patched.spec.containers].filter(isOurs);
    if (ours.length !== 1) t.fail(`round ${round}`, { ours });
  }
  t.ok(count > 50, `${count} pods`);
});

t.test('a second pass adds nothing, also when the injector of another mesh has been through in between', async (t) => {
  let passes = 0;
  for (const { round, settings, patched } of injections()) {
    for (const mesh of INJECTOR_NAMES) {
      const pod = OTHER_INJECTORS[mesh](patched);
      const again = decide(creationOf(pod), undefined, settings);
      if (again.result !== 'skip' || again.reason !== 'already-injected')
        t.fail(`round ${round}`, { mesh, again, pod });
      passes += 1;
    }
  }
  t.ok(passes > ROUNDS, `${passes} second passes`);
});

t.test('after the injector of any mesh only additions are made, and each probe can reach the checker', async (t) => {
  const random = seeded(seed);
  const count: Record<string, number> = { http: 0, exec: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const settings = { ...SETTINGS, nativeSidecars: random() < 0.7 };
    const mesh = pick(random, INJECTOR_NAMES);
    const sent = withExemptPorts(randomPod(random), mesh, pick(random, [undefined, '9000', '9000,15099']));
    const decision = decide(creationOf(OTHER_INJECTORS[mesh](sent)), undefined, settings);
    const ofIstio = /"name":"istio-/.test(JSON.stringify(sent));
    if (decision.result !== 'inject' || decision.plan.options.port !== 15_099 || ofIstio) continue;
    const inputs = patchInputs(decision.pod, decision.plan, settings);
    const isExempt = sent.metadata.annotations?.[MESHES[mesh].exemptPorts]?.includes('15099') ?? false;
    if (inputs.probe !== (isExempt ? 'http' : 'exec')) t.fail(`round ${round}`, { mesh, inputs });
    if (buildPatch(inputs, settings).some(({ path }) => path.includes('~1') && !path.includes('invalid-drop.io')))
      t.fail(`round ${round}: a mesh's annotation, too late`, { mesh, inputs });
    count[inputs.probe] = (count[inputs.probe] ?? 0) + 1;
  }
  t.ok((count['http'] ?? 0) > 20 && (count['exec'] ?? 0) > 20, JSON.stringify(count));
});

/** The pod with a list of its mesh's ports, or without one. */
function withExemptPorts(pod: unknown, mesh: OtherInjector, ports: string | undefined): PatchedPod {
  const copy = structuredClone(pod) as PatchedPod;
  const { [MESHES[mesh].exemptPorts]: _, ...annotations } = copy.metadata.annotations ?? {};
  copy.metadata.annotations = { ...annotations, ...(ports !== undefined && { [MESHES[mesh].exemptPorts]: ports }) };
  return copy;
}

t.test('a second pass adds nothing, also when Istio has been through in between', async (t) => {
  let passes = 0;
  for (const { round, settings, patched } of injections()) {
    const between = [patched, injectIstio(patched, true), injectIstio(patched, false)];
    for (const pod of between) {
      const again = decide(creationOf(pod), undefined, settings);
      if (again.result !== 'skip' || again.reason !== 'already-injected') t.fail(`round ${round}`, { again, pod });
      passes += 1;
    }
  }
  t.ok(passes > ROUNDS, `${passes} second passes`);
});

t.test('of a pod that an agent is to guard only the gate changes; no pod is ever left to both', async (t) => {
  const random = seeded(seed);
  let gated = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const settings = { ...SETTINGS, nodeMode: pick(random, ['available', 'default'] as const) };
    const pod = randomPod(random);
    const first = pick(random, LABELS);
    const decision = decide(creationOf(pod), first, settings);
    if (decision.result !== 'gate' && decision.result !== 'inject') continue;
    const patched =
      decision.result === 'gate'
        ? applyPatch(pod, gatePatch(decision.pod))
        : applyPatch(pod, buildPatch(patchInputs(decision.pod, decision.plan, settings), settings));
    if (decision.result === 'gate') {
      gated += 1;
      const others = ({ spec, ...rest }: JsonObject) => ({
        ...rest,
        spec: { ...(spec as JsonObject), readinessGates: undefined },
      });
      t.strictSame(others(patched), others(JSON.parse(JSON.stringify(pod))), `round ${round}`);
    }
    // Istio's webhook comes in between, and the labels may have become known, or have changed.
    for (const later of LABELS) {
      const again = decide(creationOf(injectIstio(patched, random() < 0.5)), later, settings);
      if (again.result !== 'skip' || again.reason !== 'already-injected') t.fail(`round ${round}`, { again, later });
    }
  }
  t.ok(gated > 50, `${gated} pods with a gate`);
});

/** The patched pod with everything of ours taken out again. */
function withoutOurs(patched: PatchedPod, original: PatchedPod): JsonObject {
  const before = original.metadata.annotations;
  const hadOurs = [...names(original.spec.initContainers), ...names(original.spec.containers)];
  const keep = (list: JsonObject[] | undefined) =>
    list?.filter((container) => !isOurs(container) || hadOurs.includes(container['name']));
  const annotations = { ...patched.metadata.annotations };
  for (const name of [EXCLUDE_INBOUND_PORTS, STATUS_ANNOTATION]) {
    if (before?.[name] === undefined) delete annotations[name];
    else annotations[name] = before[name];
  }
  const { spec, metadata, ...rest } = patched;
  const init = keep(spec.initContainers);
  return withoutNulls({
    ...rest,
    metadata: { ...metadata, annotations: before ? annotations : undefined },
    spec: {
      ...spec,
      containers: keep(spec.containers),
      initContainers: init?.length ? init : undefined,
      imagePullSecrets: withoutAdded(spec['imagePullSecrets'], original.spec['imagePullSecrets']),
    },
  });
}

/** The pull secrets that the pod came with: those that are added stand after them. */
function withoutAdded(after: unknown, before: unknown): unknown {
  return Array.isArray(after) ? after.slice(0, Array.isArray(before) ? before.length : 0) : after;
}

/** An empty or null list or map that we may fill counts as absent. */
function withoutNulls(pod: JsonObject): JsonObject {
  const copy = JSON.parse(JSON.stringify(pod));
  if (!isObject(copy.metadata.annotations)) delete copy.metadata.annotations;
  if (!copy.spec.initContainers?.length) delete copy.spec.initContainers;
  if (!copy.spec.imagePullSecrets?.length) delete copy.spec.imagePullSecrets;
  return copy;
}

t.test('a remembered patch is the patch, for every pod', async (t) => {
  const random = seeded(seed);
  const settings = { ...SETTINGS, nativeSidecars: pick(random, [true, false]), imagePullSecrets: ['registry'] };
  // The second forgets all the time.
  const all = [makePatchEncoder(settings), makePatchEncoder(settings, 3)];
  let count = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const decision = decide(creationOf(randomPod(random)), undefined, settings);
    if (decision.result !== 'inject') continue;
    const inputs = patchInputs(decision.pod, decision.plan, settings);
    const plain = buildPatch(inputs, settings);
    for (const encode of all) {
      const decoded = JSON.parse(Buffer.from(encode(inputs), 'base64').toString());
      if (JSON.stringify(decoded) !== JSON.stringify(plain)) t.strictSame(decoded, plain, `round ${round}`);
    }
    count += 1;
  }
  t.ok(count > 100, `${count} patches`);
});
