// Random Pods for property tests: reproducible from a seed.
import type { JsonObject } from '../../../lib/json.ts';

export type Random = () => number;

/** Numbers from 0 to 1 (mulberry32, public domain). */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)] as T;
}

const EXCLUDE = 'traffic.sidecar.istio.io/excludeInboundPorts';
const INCLUDE = 'traffic.sidecar.istio.io/includeInboundPorts';
const PORT_LISTS = ['', '*', '9000', '15099', '9000,15099', ' 15099 , 9001 ', '9000,', '150990'];
const SPECIAL_NAMES = ['istio-init', 'istio-validation', 'istio-proxy', 'invalid-drop-init', 'invalid-drop-checker'];

const PULL_SECRETS = [null, [], [{ name: 'own' }], [{ name: 'registry' }, { name: 'own' }], [{}]];

const GATES = [null, [], [{ conditionType: 'example.com/warm' }], [{ conditionType: 'invalid-drop.io/guarded' }]];

/** Any JSON, nested at most `depth` times. */
function randomJson(random: Random, depth: number): unknown {
  const kind = Math.floor(random() * (depth > 0 ? 7 : 5));
  if (kind < 5) return [null, true, random(), 'text ~1 / ~ "', 1e21][kind];
  const entries = Array.from({ length: Math.floor(random() * 4) }, () => randomJson(random, depth - 1));
  return kind === 5 ? entries : Object.fromEntries(entries.map((entry, index) => [`key/${index}~`, entry]));
}

function randomContainer(random: Random, name: string, guaranteed: boolean): JsonObject {
  const args = ['istio-iptables', '-b', pick(random, PORT_LISTS), '-d', pick(random, PORT_LISTS)];
  const resources = guaranteed ? guaranteedResources(random) : randomResources(random);
  return {
    name,
    image: 'registry.example/app:1',
    args: pick(random, [args, [], null]),
    ...(resources && { resources }),
    future: randomJson(random, 3),
  };
}

/** Requests and limits of the same worth, in several units. */
const EQUAL = {
  cpu: [
    ['100m', '0.1'],
    ['2', '2000m'],
    ['50m', '50m'],
    [undefined, '1'],
  ],
  memory: [
    ['64Mi', '67108864'],
    ['1Gi', '1024Mi'],
    [undefined, '128Mi'],
  ],
} as const;

function guaranteedResources(random: Random) {
  const [[cpu, cpuLimit], [memory, memoryLimit]] = [pick(random, EQUAL.cpu), pick(random, EQUAL.memory)];
  const requests = { ...(cpu && { cpu }), ...(memory && { memory }) };
  return { limits: { cpu: cpuLimit, memory: memoryLimit }, ...(random() < 0.9 && { requests }) };
}

function randomResources(random: Random): JsonObject | undefined {
  if (random() < 0.3) return undefined;
  const some = (...list: string[]) => (random() < 0.5 ? {} : { cpu: pick(random, list) });
  const more = (...list: string[]) => (random() < 0.5 ? {} : { memory: pick(random, list) });
  return {
    requests: pick(random, [null, { ...some('0', '10m', '0.2'), ...more('0', '32Mi', '64Mi') }]),
    limits: pick(random, [null, { ...some('200m', '1'), ...more('64Mi', '1Gi') }]),
  };
}

function randomAnnotations(random: Random): Record<string, string> | null | undefined {
  if (random() < 0.3) return pick(random, [null, undefined]);
  return {
    'example.com/team': 'storage',
    ...(random() < 0.5 && { [EXCLUDE]: pick(random, PORT_LISTS) }),
    ...(random() < 0.5 && { [INCLUDE]: pick(random, PORT_LISTS) }),
    ...(random() < 0.3 && { 'invalid-drop.io/mode': pick(random, ['enforce', 'observe']) }),
    ...(random() < 0.3 && { 'invalid-drop.io/checker': pick(random, ['enabled', 'disabled']) }),
    ...(random() < 0.2 && { 'invalid-drop.io/status': 'forged' }),
  };
}

/** A Pod that the API server could send: container names are unique, everything else is arbitrary. */
export function randomPod(random: Random): JsonObject {
  const special = SPECIAL_NAMES.filter(() => random() < 0.3);
  const initNames = [...special.filter(() => random() < 0.8), 'migrate'].filter(() => random() < 0.9);
  const appNames = ['app', ...special.filter((name) => !initNames.includes(name))];
  const guaranteed = random() < 0.4;
  const initContainers = initNames.map((name) => ({
    ...randomContainer(random, name, guaranteed),
    ...(random() < 0.3 && { restartPolicy: 'Always' }),
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'app-', annotations: randomAnnotations(random), future: randomJson(random, 3) },
    spec: {
      ...(random() < 0.5 && { readinessGates: pick(random, GATES) }),
      ...(random() < 0.5 && { imagePullSecrets: pick(random, PULL_SECRETS) }),
      restartPolicy: pick(random, ['Always', 'OnFailure', 'Never', undefined]),
      containers: appNames.map((name) => randomContainer(random, name, guaranteed)),
      initContainers: initContainers.length > 0 ? initContainers : pick(random, [[], null, undefined]),
      future: randomJson(random, 4),
    },
  };
}
