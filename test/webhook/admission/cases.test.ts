// Each file in cases/ is one request and what is expected of it: to add a case, add a file.
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../../lib/contract.ts';
import { isObject, type JsonObject } from '../../../lib/json.ts';
import { type Decision, decide } from '../../../webhook/admission/admission.ts';
import type { InjectionSettings } from '../../../webhook/admission/containers.ts';
import { buildPatch, gatePatch, patchInputs, STATUS_ANNOTATION } from '../../../webhook/admission/patch.ts';
import { withBuiltContainers } from './built-containers.ts';
import { creationOf, SETTINGS } from './injection-settings.ts';
import { applyPatch, byName, names, type PatchedPod } from './patched-pod.ts';

interface Case {
  about: string;
  pod?: unknown;
  /** Members of the request that differ from the creation of a pod in namespace "storage". */
  request?: object;
  namespaceLabels?: Record<string, string>;
  /** Those that meshes read. */
  namespaceAnnotations?: Record<string, string>;
  settings?: Partial<InjectionSettings>;
  expect: {
    skip?: string;
    /** Of a container under one of our names. */
    difference?: string;
    refuse?: { code: number; message: string };
    /** The whole patch. */
    patch?: unknown[];
    inject?: InjectFacts;
    /** Readiness gates of the patched pod, in order, where an agent is to guard it: the patch adds ours and nothing else. */
    gates?: string[];
    /** An agent is to guard it, and holds nothing back. */
    observe?: true;
    /** Of an injection; without it there is none. */
    warning?: string;
  };
}

/** What must hold of the patched pod. In the partial objects, null stands for "not there". */
interface InjectFacts {
  /** Names, in order, all of them. */
  initContainers: string[];
  containers: string[];
  annotations?: JsonObject;
  init?: JsonObject;
  checker?: JsonObject;
  /** Environment of each container that was added. */
  env?: JsonObject;
  /** Parts of the status annotation. */
  status?: JsonObject;
  /** Parts of the whole pod. */
  has?: JsonObject;
}

const folder = new URL('cases/', import.meta.url);
for (const file of readdirSync(folder).sort()) {
  const { about, ...given }: Case = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  t.test(`${file}: ${about}`, async (t) => check(t, given));
}

function check(t: Test, { pod: written, request, settings, expect, ...given }: Omit<Case, 'about'>): void {
  const { namespaceLabels, namespaceAnnotations } = given;
  const annotated = namespaceAnnotations && { labels: namespaceLabels ?? {}, annotations: namespaceAnnotations };
  const namespace = annotated ?? (namespaceLabels && { labels: namespaceLabels, annotations: {} });
  const effective = { ...SETTINGS, ...settings, options: { ...SETTINGS.options, ...settings?.options } };
  const pod = withBuiltContainers(written, effective);
  const decision = decide(creationOf(pod, request), namespaceLabels, effective);
  const { skip, difference } = expect;
  const why = difference !== undefined && { difference };
  if (skip !== undefined) return void t.strictSame(decision, { result: 'skip', reason: skip, ...why });
  if (expect.refuse !== undefined) return void t.strictSame(decision, { result: 'refuse', ...expect.refuse });
  if (expect.observe) return void t.strictSame(decision, { result: 'observe' });
  if (expect.gates !== undefined) {
    const patched = checkGate(t, pod, decision, expect);
    const again = decide(creationOf(patched, request), namespaceLabels, effective);
    return void t.strictSame(again, { result: 'skip', reason: 'already-injected' }, 'a second pass adds nothing');
  }
  if (decision.result !== 'inject') return void t.fail('not injected', { decision });
  t.equal(decision.warning, expect.warning, 'warning');
  const operations = buildPatch(patchInputs(decision.pod, decision.plan, effective, namespace), effective);
  if (expect.patch !== undefined) t.strictSame(operations, expect.patch);
  const patched = applyPatch(pod, operations);
  if (expect.inject !== undefined) checkFacts(t, patched, expect.inject);
  const again = decide(creationOf(patched, request), namespaceLabels, effective);
  t.strictSame(again, { result: 'skip', reason: 'already-injected' }, 'a second pass adds nothing');
}

function checkGate(t: Test, pod: unknown, decision: Decision, { gates, patch }: Case['expect']) {
  if (decision.result !== 'gate') return t.fail('no gate', { decision });
  const operations = gatePatch(decision.pod);
  if (patch !== undefined) t.strictSame(operations, patch);
  const patched = applyPatch(pod, operations);
  const { spec, ...rest } = patched;
  const { readinessGates, ...others } = spec;
  const types = (readinessGates as JsonObject[]).map(({ conditionType }) => conditionType);
  t.strictSame(types, gates, 'readiness gates in order');
  const before = JSON.parse(JSON.stringify(pod));
  delete before.spec.readinessGates;
  t.strictSame({ ...rest, spec: others }, before, 'nothing else is changed');
  return patched;
}

function checkFacts(t: Test, { metadata, spec, ...rest }: PatchedPod, facts: InjectFacts): void {
  t.strictSame(names(spec.initContainers), facts.initContainers, 'init containers in order');
  t.strictSame(names(spec.containers), facts.containers, 'containers in order');
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  const status = JSON.parse(metadata.annotations?.[STATUS_ANNOTATION] ?? '{}');
  checkParts(t, { metadata, spec, ...rest }, facts.has, 'pod');
  checkParts(t, metadata.annotations, facts.annotations, 'annotations');
  checkParts(t, byName(all, INIT_CONTAINER), facts.init, INIT_CONTAINER);
  checkParts(t, byName(all, CHECKER_CONTAINER), facts.checker, CHECKER_CONTAINER);
  checkParts(t, status, facts.status, 'status');
  for (const name of facts.env === undefined ? [] : (status.added as string[])) {
    const env = byName(all, name)?.['env'] as { name: string; value: string }[];
    checkParts(t, Object.fromEntries(env.map((entry) => [entry.name, entry.value])), facts.env, `${name}: env`);
  }
}

/** Objects are compared member by member; all else, and an empty object, as a whole. */
function checkParts(t: Test, found: unknown, expected: JsonObject | undefined, where: string): void {
  for (const [key, value] of Object.entries(expected ?? {})) {
    const member = isObject(found) ? found[key] : undefined;
    if (isObject(value) && Object.keys(value).length > 0) checkParts(t, member, value, `${where}.${key}`);
    else if (value === null) t.equal(member, undefined, `${where}.${key} is not there`);
    else t.strictSame(member, value, `${where}.${key}`);
  }
}
