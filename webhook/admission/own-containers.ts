// Whether a container under one of our names is what the webhook builds. Every pod author can use a name, and can have
// our image do something else: what stands in a pod is compared with what the webhook would have written.
import { posix } from 'node:path';
import {
  CHECKER_CONTAINER,
  CHECKER_PORT,
  CHECKER_PORT_VARIABLE,
  INIT_CONTAINER,
  POD_OPTIONS,
  SIDECAR_COMMAND,
} from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, objectsAt, shortText, textsIn } from '../../lib/json.ts';
import { CHECKER_PORT_OPTION, type PodOptions } from '../../lib/pod/pod-options.ts';
import { NO_POD_LEVEL, type PodLevelSettings, type PodView } from '../../lib/pod/pod-view.ts';
import {
  checkerContainer,
  ephemeralContainer,
  type InjectionSettings,
  initContainer,
  readinessProbe,
  sidecarContainer,
} from './containers.ts';

/** What stands under one of our names; `older` is another tag of the image, from the webhook before an upgrade. */
export type OwnContainer = 'current' | 'older' | 'altered' | 'name-taken';

/** From what is as it should be to what is least so. */
const WORSE: readonly OwnContainer[] = ['current', 'older', 'altered', 'name-taken'];

export interface OwnContainers {
  /** The worst of them; none where the pod has none. */
  are: OwnContainer | 'none';
  /** What is not as the webhook builds it, such as `invalid-drop-checker: command`; '' where nothing is. */
  difference: string;
}

/** Whether they guard the pod, as far as what they are tells. */
export function areOurs(are: OwnContainers['are']): are is 'current' | 'older' {
  return are === 'current' || are === 'older';
}

/** Whether something else stands under a name of ours. */
export function areForeign(are: OwnContainers['are']): are is 'altered' | 'name-taken' {
  return are === 'altered' || are === 'name-taken';
}

/** What the webhook would put into this very pod; without it, what it could put into any pod will do. */
export interface WantedContainers {
  options: PodOptions;
  level: PodLevelSettings;
  legacyIptables: boolean;
}

/**
 * What a container of ours is for. sidecar: installs and stays. checker: stays, beside the application, or after the init
 * container in pods of the version before. install, check: ephemeral.
 */
type Role = 'init' | 'sidecar' | 'checker' | 'install' | 'check';
type Compared = { is: OwnContainer; difference: string };

/**
 * Compares what stands under our names in a pod with what the webhook builds.
 * @param image that is configured now
 * @param wanted at admission: other options, and other tags, are then differences too
 */
export function ownContainers(pod: PodView, image: string, wanted?: WantedContainers): OwnContainers {
  const all = [
    ...(pod.initContainers ?? []).map((container) => ({ container, place: 'initContainers' as const })),
    ...pod.containers.map((container) => ({ container, place: 'containers' as const })),
  ];
  const found = all.flatMap(({ container, place }): Compared[] => {
    const role = roleOf(container, place);
    if (role === undefined) return [];
    const expected = expectedRestart(role, place);
    const compared = compare(container, role, image, wanted);
    if (areForeign(compared.is)) return [compared];
    if (expected === 'misplaced') return [altered(container, `stands in ${place}`)];
    return [(container['restartPolicy'] ?? undefined) === expected ? compared : altered(container, 'restartPolicy')];
  });
  const [worst] = found.toSorted((a, b) => WORSE.indexOf(b.is) - WORSE.indexOf(a.is));
  return worst === undefined ? { are: 'none', difference: '' } : { are: worst.is, difference: worst.difference };
}

/** Whether an ephemeral container is one that `kubectl invalid-drop guard` adds. */
export function isOwnEphemeral(container: JsonObject, role: 'install' | 'check', image: string): boolean {
  return areOurs(compare(container, role, image).is);
}

/** Whether a container under the checker's name is meant to install, too. It need not be what the webhook builds. */
export function isInstallingSidecar({ command }: JsonObject): boolean {
  return textsIn(command).includes(INSTALL_FLAG);
}

const INSTALL_FLAG = SIDECAR_COMMAND.at(-1) ?? '';

type Place = 'initContainers' | 'containers';

function roleOf(container: JsonObject, place: Place): Role | undefined {
  if (container['name'] === INIT_CONTAINER) return 'init';
  if (container['name'] !== CHECKER_CONTAINER) return undefined;
  return place === 'initContainers' && isInstallingSidecar(container) ? 'sidecar' : 'checker';
}

/** The restartPolicy that a container has in its place. */
function expectedRestart(role: Role, place: Place): 'Always' | 'misplaced' | undefined {
  if (role === 'sidecar') return 'Always';
  if (role === 'checker') return place === 'initContainers' ? 'Always' : undefined;
  return place === 'initContainers' ? undefined : 'misplaced';
}

const altered = ({ name }: JsonObject, what: string): Compared => ({
  is: 'altered',
  difference: `${shortText(name, 63)}: ${what}`,
});

function compare(container: JsonObject, role: Role, image: string, wanted?: WantedContainers): Compared {
  const images = compareImages(container['image'], image);
  if (images === 'foreign') return { ...altered(container, 'image'), is: 'name-taken' };
  if (images === 'older' && wanted !== undefined) return altered(container, 'image');
  const difference = differenceIn(container, role, images === 'older', wanted);
  return difference === undefined ? { is: images, difference: '' } : altered(container, difference);
}

/** Fields that the webhook never writes, and with which a container would do something else. */
const NEVER_WRITTEN = ['args', 'envFrom', 'volumeDevices', 'livenessProbe', 'startupProbe', 'restartPolicyRules'];

/**
 * Resources, image pulls, policies of termination messages and unknown fields are not compared: quotas, admission plugins and new
 * versions of Kubernetes set them.
 * @param older whether flags of Node, options that are new, and times of the probe may differ
 * @returns the field that differs
 */
function differenceIn(container: JsonObject, role: Role, older: boolean, wanted?: WantedContainers) {
  const extra = NEVER_WRITTEN.find((field) => !isEmpty(container[field]));
  if (extra !== undefined) return extra;
  if (objectsAt(container, 'volumeMounts').some(hidesPrograms)) return 'volumeMounts';
  const { terminationMessagePath } = container;
  if (!isEmpty(terminationMessagePath) && hidesPrograms({ mountPath: terminationMessagePath }))
    return 'terminationMessagePath';
  const env = environmentOf(container);
  const options = env && optionsOf(env, older);
  if (options === undefined || (role === 'install' && options.mode !== 'enforce')) return 'env';
  if (wanted !== undefined && OPTION_NAMES.some((name) => options[name] !== wanted.options[name])) return 'env';
  const capabilities = textsIn(objectAt(container, 'securityContext', 'capabilities')['add']);
  const settings = {
    image: '',
    legacyIptables: wanted?.legacyIptables ?? capabilities.includes('NET_RAW'),
  };
  const expected = build(role, wanted?.level ?? NO_POD_LEVEL, options, settings);
  if (!isCommand(container['command'], expected.command, older)) return 'command';
  if (!isLifecycle(container['lifecycle'], expected.lifecycle, older)) return 'lifecycle';
  if (!contains(container['securityContext'], expected.securityContext)) return 'securityContext';
  const probes = probesOf(role, options, older);
  return probes.some((probe) => isProbe(container['readinessProbe'], probe, older)) ? undefined : 'readinessProbe';
}

/** As an empty list or object, the API server keeps what was absent. */
function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

const NO_RESOURCES = { requests: {}, limits: {} };

function build(
  role: Role,
  level: PodLevelSettings,
  options: PodOptions,
  settings: Pick<InjectionSettings, 'image' | 'legacyIptables'>,
): { command: string[]; securityContext: object; lifecycle?: Lifecycle } {
  const fit = { ...settings, initResources: NO_RESOURCES, checkerResources: NO_RESOURCES };
  if (role === 'init') return initContainer(level, options, fit);
  if (role === 'sidecar') return sidecarContainer(level, options, fit, 'http');
  if (role === 'checker') return checkerContainer(level, options, fit, 'http');
  return ephemeralContainer('', role, level, options, settings);
}

// Commands.

/** Flags of Node that the command of any version has had. */
const NODE_FLAGS = ['--disable-sigusr1', '--v8-pool-size=0', '--optimize-for-size'];

function isCommand(found: unknown, expected: string[], older: boolean): boolean {
  const words = (list: unknown) => (older ? textsIn(list).filter((word) => !NODE_FLAGS.includes(word)) : list);
  return isSame(words(found), words(expected));
}

/** The hook of the version before, without flags. */
const HOOK_BEFORE = ['node', '/opt/invalid-drop/wait.js'];

interface Lifecycle {
  postStart: { exec: { command: string[] } };
}

/** The hook as the webhook writes it, and no other one beside it. */
function isLifecycle(found: unknown, expected: Lifecycle | undefined, older: boolean): boolean {
  if (expected === undefined) return isEmpty(found);
  const { command } = objectAt(found, 'postStart', 'exec');
  const isAlone = isSame(found, { postStart: { exec: { command } } });
  const hooks = [expected.postStart.exec.command, ...(older ? [HOOK_BEFORE] : [])];
  return isAlone && hooks.some((hook) => isCommand(command, hook, older));
}

const isSame = (found: unknown, expected: unknown) => JSON.stringify(found) === JSON.stringify(expected);

/** Whether all members of `expected` are in `found`, with the same values. */
function contains(found: unknown, expected: unknown): boolean {
  if (!isObject(expected)) return isSame(found, expected);
  return isObject(found) && Object.entries(expected).every(([key, value]) => contains(found[key], value));
}

// Environment.

const OPTION_NAMES = ['mode', 'protocol', 'onDrift', 'rescue', 'port'] as const;
const OPTION_VARIABLES: string[] = [...Object.values(POD_OPTIONS).map(({ env }) => env), CHECKER_PORT_VARIABLE];
/**
 * Variables by which Node, the dynamic loader or our programs do something else. Others are harmless: the webhooks of
 * cloud providers add variables to every container.
 */
const TAKES_EFFECT = /^(?:INVALID_DROP_|NODE_|LD_|GLIBC_|XTABLES_|OPENSSL_|PATH$|GCONV_PATH$|LOCPATH$)/;

/** @returns our variables; undefined where one stands there twice or is no text, or another one takes effect */
function environmentOf(container: JsonObject): Map<string, string> | undefined {
  const ours = new Map<string, string>();
  for (const { name, value } of objectsAt(container, 'env')) {
    if (typeof name !== 'string' || !TAKES_EFFECT.test(name)) continue;
    if (!OPTION_VARIABLES.includes(name) || ours.has(name) || typeof value !== 'string') return undefined;
    ours.set(name, value);
  }
  return ours;
}

/** @returns undefined where a value is not allowed, or is not there */
function optionsOf(env: Map<string, string>, older: boolean): PodOptions | undefined {
  const value = <const V extends string>({ env: name, values }: { env: string; values: readonly [V, ...V[]] }) => {
    const text = env.get(name);
    return text === undefined && older ? values[0] : values.find((allowed) => allowed === text);
  };
  const [mode, protocol] = [value(POD_OPTIONS.mode), value(POD_OPTIONS.protocol)];
  const [onDrift, rescue] = [value(POD_OPTIONS.onDrift), value(POD_OPTIONS.rescue)];
  const port = CHECKER_PORT_OPTION.parse(env.get(CHECKER_PORT_VARIABLE) ?? String(CHECKER_PORT));
  if (!(mode && protocol && onDrift && rescue && port)) return undefined;
  return { mode, protocol, onDrift, rescue, port, checker: 'enabled' };
}

// Volumes.

/** What the programs of the image consist of, and what decides how they start. */
const PROGRAMS = [
  ...['/opt/invalid-drop', '/usr', '/bin', '/sbin', '/lib', '/lib64', '/proc'],
  ...['/etc/alternatives', '/etc/ld.so.cache', '/etc/ld.so.preload'],
];

/**
 * Service account tokens and the like are mounted into every container, and hide nothing. The kubelet mounts an empty file at
 * terminationMessagePath: of a program it leaves one that does nothing and ends well.
 */
function hidesPrograms({ mountPath }: JsonObject): boolean {
  const path = `${posix.resolve('/', shortText(mountPath, 4096))}/`.replace('//', '/');
  return PROGRAMS.some((program) => `${program}/`.startsWith(path) || path.startsWith(`${program}/`));
}

// Probes.

type Probe = ReturnType<typeof readinessProbe>;

/** Only of containers that stay. In mode observe there is none; an older version had one there too. */
function probesOf(role: Role, { mode, port }: PodOptions, older: boolean): (Probe | undefined)[] {
  if (role !== 'sidecar' && role !== 'checker') return [undefined];
  const placement = role === 'sidecar' ? 'sidecar' : 'container';
  const probes = (['http', 'exec'] as const).map((kind) => readinessProbe(kind, port, placement));
  if (mode === 'observe') return older ? [undefined, ...probes] : [undefined];
  return probes;
}

/** Consul's ports for readiness probes, one for each container (mesh_webhook.go, consul-k8s 2.0.3). */
const CONSUL_PORTS = { first: 20_400, last: 20_499 };

/**
 * Where the injector of a mesh sends the kubelet: the mesh's agent or proxy asks the checker in the kubelet's place. Istio and
 * Kuma have a path for each container, on a port that the mesh's owner chooses; Consul a port; Open Service Mesh neither.
 */
function isRewritten({ path, port }: JsonObject, wanted: { path: string; port: number }): boolean {
  if (path === `/app-health/${CHECKER_CONTAINER}${wanted.path}`) return true;
  if (path === `/${wanted.port}${wanted.path}`) return true;
  if (path === wanted.path) return typeof port === 'number' && port >= CONSUL_PORTS.first && port <= CONSUL_PORTS.last;
  return path === '/osm-readiness-probe' && port === 15_902;
}

function isProbe(found: unknown, expected: Probe | undefined, older: boolean): boolean {
  if (expected === undefined) return isEmpty(found);
  const { httpGet, exec, ...times } = { httpGet: undefined, exec: undefined, ...expected };
  if (!older && !contains(found, times)) return false;
  if (exec !== undefined) return isCommand(objectAt(found, 'exec')['command'], exec.command, older);
  const asked = objectAt(found, 'httpGet');
  // Without a host the kubelet asks the pod.
  if (asked['host'] !== undefined || httpGet === undefined) return false;
  return contains(asked, httpGet) || isRewritten(asked, httpGet);
}

// Images.

/** Whether an image is the configured one, another tag of its repository, or none of ours. */
function compareImages(found: unknown, image: string): 'current' | 'older' | 'foreign' {
  if (found === image) return 'current';
  return repositoryOf(shortText(found, 600)) === repositoryOf(image) ? 'older' : 'foreign';
}

/** Without tag and digest. A colon before the last slash belongs to a port. */
function repositoryOf(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}
