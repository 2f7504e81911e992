// A canary pod: it is sent through the Service to the webhook, its patch is applied and verified, and it is never
// created.
import { randomUUID } from 'node:crypto';
import { request } from 'node:https';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { CHECKER_CONTAINER, GUARDED_CONDITION, INIT_CONTAINER, POD_OPTIONS } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, objectsAt } from '../../lib/json.ts';
import type { InjectionSettings } from '../admission/containers.ts';
import { REVIEW_KIND, REVIEW_VERSION } from '../admission/review.ts';
import type { CheckFinding } from './selfcheck-report.ts';

const NAMESPACE = 'invalid-drop-canary';
const CALL_MS = 5000;

export interface CanaryTarget {
  host: string;
  port: number;
  /** Name that the certificate must be good for. */
  servername: string;
  /** The only CAs trusted, PEM. */
  ca: string;
}

/** What the webhook adds to the canary pod, whose namespace it does not know: it is left to agents if there are any. */
export type CanaryAddition = 'init container' | 'containers' | 'sidecar' | 'readiness gate';

export function canaryAddition(
  settings: Pick<InjectionSettings, 'nodeMode' | 'options' | 'nativeSidecars'>,
): CanaryAddition {
  if (settings.nodeMode !== 'disabled') return 'readiness gate';
  if (settings.options.checker === 'disabled') return 'init container';
  return settings.nativeSidecars ? 'sidecar' : 'containers';
}

export async function canaryFinding(target: CanaryTarget, expected: CanaryAddition): Promise<CheckFinding> {
  const answer = await post(target, JSON.stringify(canaryReview()));
  const wrong = whatIsWrong(answer, expected);
  const where = `${target.host}:${target.port}`;
  if (wrong !== undefined) return { ok: false, detail: `${where}: ${wrong}` };
  return { ok: true, detail: `${where}: a pod sent there gets its ${expected}` };
}

/** In mode observe nothing would be added for an agent. */
const POD = {
  metadata: { name: 'canary', annotations: { [POD_OPTIONS.mode.annotation]: 'enforce' } },
  spec: { containers: [{ name: 'app', image: 'canary' }] },
};

/** dryRun, and a namespace that no pod has, so that its log lines can be told from those of pods. */
function canaryReview() {
  return {
    apiVersion: REVIEW_VERSION,
    kind: REVIEW_KIND,
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      operation: 'CREATE',
      namespace: NAMESPACE,
      dryRun: true,
      object: POD,
    },
  };
}

/** Pure. @returns what the patched pod lacks; undefined where it has everything */
export function whatIsWrong(answer: JsonObject, expected: CanaryAddition): string | undefined {
  const { response } = answer;
  if (!isObject(response) || response['allowed'] !== true) return 'the canary pod was refused';
  if (typeof response['patch'] !== 'string') return 'the canary pod came back without a patch';
  const operations = JSON.parse(Buffer.from(response['patch'], 'base64').toString()) as Operation[];
  const { newDocument: pod } = jsonPatch.applyPatch(structuredClone(POD) as JsonObject, operations, true);
  const spec = objectAt(pod, 'spec');
  const containers = [spec['initContainers'], spec['containers']].flatMap((list) => objectsAt(list));
  const gates = objectsAt(spec, 'readinessGates').map(({ conditionType }) => conditionType);
  const names = [...containers.map(({ name }) => name), ...gates];
  const wanted = [...WANTED[expected], 'app'];
  const missing = wanted.filter((name) => !names.includes(name));
  return missing.length === 0 ? undefined : `the patched canary pod lacks ${missing.join(' and ')}`;
}

const WANTED: Record<CanaryAddition, string[]> = {
  'init container': [INIT_CONTAINER],
  containers: [INIT_CONTAINER, CHECKER_CONTAINER],
  sidecar: [CHECKER_CONTAINER],
  'readiness gate': [GUARDED_CONDITION],
};

function post({ host, port, servername, ca }: CanaryTarget, body: string): Promise<JsonObject> {
  const signal = AbortSignal.timeout(CALL_MS);
  const headers = { 'content-type': 'application/json', host: servername };
  const options = {
    host,
    port,
    servername,
    ca,
    method: 'POST',
    path: '/mutate',
    agent: false as const,
    headers,
    signal,
  };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      response.toArray().then((chunks) => resolve(JSON.parse(Buffer.concat(chunks).toString())), reject);
    });
    call.on('error', reject);
    call.end(body);
  });
}
