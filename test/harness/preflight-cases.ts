// Clusters as files, for preflight: what the API server answers there, and what is expected. Also shown in the documentation.
import { readFileSync } from 'node:fs';
import { parseYaml } from '../../cli/preflight/parse-yaml.ts';
import type { PreflightReport } from '../../cli/preflight/preflight-verdict.ts';
import { runPreflight } from '../../cli/preflight/run-preflight.ts';
import { ApiError } from '../../lib/cluster/api-error.ts';
import { type JsonObject, objectAt, objectsAt } from '../../lib/json.ts';
import { readOptions } from '../../lib/options.ts';
import { injectionSettings, OPTIONS } from '../../webhook/webhook-options.ts';

export const PREFLIGHT_CASES = new URL('../cli/preflight/cases/', import.meta.url);

export interface PreflightCase {
  source: string;
  namespace?: string;
  all?: boolean;
  /** By path, with its label selector where there are two of a path: a list of objects, an object, or the status of a refusal. */
  answers: Record<string, JsonObject[] | JsonObject | number>;
  /** By namespace; `NAME without`: a pod without our container; `agent`: a pod like the agent's; `*`: all others. */
  dryRuns: Record<string, 'accepted' | { status: number; message: string } | { review: JsonObject } | { gate: 'off' }>;
  expected: {
    verdict: string;
    exposure: string;
    /** Code to level: all findings. */
    findings: Record<string, string>;
    /** Texts that the findings' words hold, by code. */
    words?: Record<string, string>;
    /** Way of guarding, and a part of the reason. */
    namespaces: Record<string, [guardBy: string, why: string]>;
    /** How namespaces take part in a mesh, by name. */
    shares?: Record<string, string>;
    notSeen?: string[];
  };
}

const settings = injectionSettings(readOptions(OPTIONS, [], {}).values);

export function readCase(file: string): PreflightCase {
  return JSON.parse(readFileSync(new URL(file, PREFLIGHT_CASES), 'utf8')) as PreflightCase;
}

export function judgeCase(one: PreflightCase): Promise<PreflightReport> {
  return runPreflight({
    client: serverOf(one),
    parseYaml,
    settings,
    namespace: one.namespace ?? '',
    all: one.all ?? false,
    progress: undefined,
    stop: new AbortController().signal,
  });
}

/** An API server that knows the answers of a case. Lists that a case does not name are empty, and objects are missing. */
function serverOf({ answers, dryRuns }: PreflightCase) {
  return {
    async get(path: string, query: Record<string, string> = {}): Promise<JsonObject> {
      const selector = query['labelSelector'] === undefined ? '' : `?labelSelector=${query['labelSelector']}`;
      const answer = answers[`${path}${selector}`] ?? (query['limit'] === undefined ? 404 : []);
      if (typeof answer === 'number') throw new ApiError(answer, '', `status ${answer}: made`);
      return Array.isArray(answer) ? { items: answer } : answer;
    },
    async create(path: string, body: JsonObject): Promise<JsonObject> {
      const namespace = /namespaces\/([^/]+)\//.exec(path)?.[1] ?? '';
      const answer = dryRuns[keyOf(namespace, body)] ?? dryRuns['*'] ?? 'accepted';
      if (answer === 'accepted') return body;
      if ('review' in answer) return { status: answer.review };
      if ('gate' in answer) return withoutRestartPolicy(body);
      throw new ApiError(answer.status, '', `status ${answer.status}: ${answer.message}`);
    },
  };
}

function keyOf(namespace: string, body: JsonObject): string {
  const spec = objectAt(body['spec'], 'template')['spec'] ?? body['spec'];
  if (objectsAt(spec, 'containers')[0]?.['name'] === 'node-agent') return 'agent';
  return objectsAt(spec, 'initContainers').length > 0 ? namespace : `${namespace} without`;
}

function withoutRestartPolicy(body: JsonObject): JsonObject {
  const spec = objectAt(body, 'spec');
  const initContainers = objectsAt(spec, 'initContainers').map(({ restartPolicy, ...rest }) => rest);
  return { ...body, spec: { ...spec, initContainers } };
}
