// What the webhook builds, for cases that are about pods with our containers in them.
import { isObject, isObjectList, type JsonObject } from '../../../lib/json.ts';
import { NO_POD_LEVEL } from '../../../lib/pod/pod-view.ts';
import {
  checkerContainer,
  type InjectionSettings,
  initContainer,
  sidecarContainer,
} from '../../../webhook/admission/containers.ts';

const BUILDERS: Record<string, (settings: InjectionSettings) => JsonObject> = {
  init: (settings) => initContainer(NO_POD_LEVEL, settings.options, settings),
  sidecar: (settings) => sidecarContainer(NO_POD_LEVEL, settings.options, settings, 'http'),
  'plain checker': (settings) => checkerContainer(NO_POD_LEVEL, settings.options, settings, 'http'),
  'sidecar of the version before': (settings) => ({
    ...checkerContainer(NO_POD_LEVEL, settings.options, settings, 'http'),
    restartPolicy: 'Always',
  }),
};

/**
 * In a case, `{"like": "init"}` stands for the init container that the webhook builds. Its other members replace the
 * built ones: objects member by member, null takes one away. In `env`, `plus` adds entries and `mode` sets the mode.
 */
export function withBuiltContainers(pod: unknown, settings: InjectionSettings): unknown {
  if (!isObject(pod) || !isObject(pod['spec'])) return pod;
  const spec = { ...pod['spec'] };
  for (const list of ['containers', 'initContainers']) {
    if (isObjectList(spec[list])) spec[list] = spec[list].map((container) => built(container, settings));
  }
  return { ...pod, spec };
}

function built({ like, env, ...changes }: JsonObject, settings: InjectionSettings): JsonObject {
  const builder = BUILDERS[String(like)];
  if (builder === undefined) return { ...(env !== undefined && { env }), ...changes };
  const { plus = [], mode = settings.options.mode } = isObject(env) ? env : {};
  const container = builder({ ...settings, options: { ...settings.options, mode: mode as 'enforce' | 'observe' } });
  const merged = merge(container, changes);
  return { ...merged, env: [...(container['env'] as JsonObject[]), ...(plus as JsonObject[])] };
}

function merge(base: JsonObject, changes: JsonObject): JsonObject {
  const merged = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const before = merged[key];
    // A probe has one handler: it is replaced as a whole.
    if (key !== 'readinessProbe' && isObject(value) && isObject(before)) merged[key] = merge(before, value);
    else if (value === null) delete merged[key];
    else merged[key] = value;
  }
  return merged;
}
