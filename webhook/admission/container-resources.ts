// What our containers ask for and may use, as text: cpu=10m:200m,memory=32Mi:128Mi. The configuration says it for all pods,
// an annotation for one pod, up to a bound of the configuration.
import { errors } from '../../lib/errors.ts';
import { shortText } from '../../lib/json.ts';
import type { Option } from '../../lib/options.ts';
import type { PodView } from '../../lib/pod/pod-view.ts';
import { ONE, parseQuantity } from './quantity.ts';

export const INIT_RESOURCES_ANNOTATION = 'invalid-drop.io/init-resources';
export const CHECKER_RESOURCES_ANNOTATION = 'invalid-drop.io/checker-resources';

/** Quantities by resource name. */
export type Amounts = Record<string, string>;

/** `resources` of a container. */
export interface ContainerResources {
  requests: Amounts;
  limits: Amounts;
}

/** Of our containers in a pod: of the init container, and of the checker. */
export interface OwnResources {
  init: ContainerResources;
  checker: ContainerResources;
}

/** What option and annotation may say, for messages and docs. */
export const RESOURCES_FORM = 'NAME=REQUEST:LIMIT with commas between';
const EXAMPLE = `${RESOURCES_FORM}, such as cpu=10m:1,memory=32Mi:128Mi,ephemeral-storage=10Mi`;

/** An option whose value is the resources of a container; read it with containerResources. */
export function resourcesOption(described: { env: string; help: string; default: string }): Option<string> {
  const allowed = `${EXAMPLE}; without :LIMIT there is none`;
  return checked(allowed, RESOURCES_PATTERN, described, (text) => {
    const read = readResources(text);
    if ('use' in read) return read.use;
    // Quotas on requests demand both of every container.
    return read.requests['cpu'] && read.requests['memory'] ? undefined : 'both cpu and memory, and others as you like';
  });
}

/** An option whose value bounds what annotations may ask for; read it with boundOf. */
export function boundOption(described: { env: string; help: string; default: string }): Option<string> {
  const allowed = 'NAME=MOST with commas between, such as cpu=1,memory=512Mi; or none';
  return checked(allowed, BOUND_PATTERN, described, (text) => {
    if (text === NO_BOUND) return undefined;
    const read = text.includes(':')
      ? { use: 'one amount for each name, such as cpu=1,memory=512Mi' }
      : readResources(text);
    return 'use' in read ? read.use : undefined;
  });
}

const NO_BOUND = 'none';
/** The form alone: names and quantities are for the program. */
const RESOURCES_PATTERN = '^[^=:,]+=[^=:,]+(:[^=:,]+)?(,[^=:,]+=[^=:,]+(:[^=:,]+)?)*$';
const BOUND_PATTERN = '^(none|[^=:,]+=[^=:,]+(,[^=:,]+=[^=:,]+)*)$';

/** @param text what a resourcesOption allows */
export function containerResources(text: string): ContainerResources {
  const read = readResources(text);
  if ('use' in read) throw new TypeError(`no resources: ${text}`);
  return read;
}

/** @param text what a boundOption allows */
export function boundOf(text: string): Amounts {
  return text === NO_BOUND ? {} : containerResources(text).requests;
}

/** @param problem what to use instead, where the text is not allowed */
function checked(
  allowed: string,
  pattern: string,
  described: { env: string; help: string; default: string },
  problem: (text: string) => string | undefined,
): Option<string> {
  const parse = (text: string) => (problem(text) === undefined ? text : undefined);
  return { ...described, allowed, schema: { type: 'string', pattern }, parse, advice: problem };
}

/**
 * What our containers of a pod ask for: the configuration, and over it, name by name, the annotations.
 * @param max the most that an annotation may name, by resource name; a name that is not there is not allowed
 * @returns the resources, and a message for each annotation that is not allowed
 */
export function readOwnResources(
  { annotations }: PodView,
  configured: OwnResources,
  max: Amounts,
): { resources: OwnResources; wrong: string[] } {
  const wrong: string[] = [];
  const read = (name: string, from: ContainerResources) => {
    const text = annotations?.[name];
    if (text === undefined) return from;
    const over = resourcesOver(text, from, max);
    if (!('use' in over)) return over;
    wrong.push(errors.ANNOTATION_INVALID('annotation', name, shortText(text, 100), over.use).message);
    return from;
  };
  const resources = {
    init: read(INIT_RESOURCES_ANNOTATION, configured.init),
    checker: read(CHECKER_RESOURCES_ANNOTATION, configured.checker),
  };
  return { resources, wrong };
}

function resourcesOver(text: string, configured: ContainerResources, max: Amounts): ContainerResources | Advice {
  const named = readResources(text);
  if ('use' in named) return named;
  for (const [name, request] of Object.entries(named.requests)) {
    const most = max[name];
    if (most === undefined) return { use: `no ${name}: the webhook's option max-resources does not allow it` };
    const asked = named.limits[name] ?? request;
    if (amountOf(asked) > amountOf(most))
      return { use: `at most ${most} of ${name}: the webhook's option max-resources` };
    const limit = named.limits[name] ?? configured.limits[name];
    if (limit !== undefined && amountOf(request) > amountOf(limit)) return aboveLimit(name, limit);
  }
  return {
    requests: { ...configured.requests, ...named.requests },
    limits: { ...configured.limits, ...named.limits },
  };
}

// The text.

/** What to use instead of something that is not allowed. */
interface Advice {
  use: string;
}

/** Longer than any that has a use: pods choose it. */
const LONGEST = 1000;
const AMOUNTS = /^(?<name>[^=:]+)=(?<request>[^=:]+)(?::(?<limit>[^=:]+))?$/;

/** What the API server would refuse in a container is refused here: it would refuse every pod. */
function readResources(text: string): ContainerResources | Advice {
  if (text.length > LONGEST) return { use: `at most ${LONGEST} characters` };
  const resources: ContainerResources = { requests: {}, limits: {} };
  for (const part of text.split(',')) {
    const { name, request, limit } = AMOUNTS.exec(part)?.groups ?? {};
    if (name === undefined || request === undefined) return { use: EXAMPLE };
    const use = adviceOn(name, request, limit);
    if (use !== undefined) return { use };
    if (resources.requests[name] !== undefined) return { use: `${name} once` };
    resources.requests[name] = request;
    const bound = limit ?? (mayOvercommit(name) ? undefined : request);
    if (bound !== undefined) resources.limits[name] = bound;
  }
  return resources;
}

function adviceOn(name: string, request: string, limit: string | undefined): string | undefined {
  if (!isResourceName(name)) {
    return `cpu, memory, ephemeral-storage, hugepages-SIZE or VENDOR/NAME instead of ${shortText(name, 63)}`;
  }
  for (const amount of limit === undefined ? [request] : [request, limit]) {
    const advice = adviceOnAmount(name, parseQuantity(amount));
    if (advice !== undefined) return advice;
  }
  if (limit === undefined) return undefined;
  if (amountOf(request) > amountOf(limit)) return aboveLimit(name, limit).use;
  return mayOvercommit(name) || amountOf(request) === amountOf(limit) ? undefined : `one amount of ${name} for both`;
}

const aboveLimit = (name: string, limit: string): Advice => ({ use: `a request of ${name} up to its limit ${limit}` });

/** Of such a resource, less than this is a slip of the unit: memory=128m is an eighth of a byte. */
const SMALLEST: Record<string, [amount: bigint, text: string]> = {
  memory: [ONE << 20n, '1Mi'],
  'ephemeral-storage': [ONE << 20n, '1Mi'],
};

/** @param amount billionths; undefined where it is no quantity */
function adviceOnAmount(name: string, amount: bigint | undefined): string | undefined {
  if (amount === undefined || amount <= 0n) return `an amount of ${name} above 0, such as 10m, 2 or 64Mi`;
  const [smallest, text] = SMALLEST[name] ?? [0n, ''];
  if (amount < smallest) return `at least ${text} of ${name}`;
  const page = pageSize(name);
  if (page !== undefined) return amount % page === 0n ? undefined : `whole pages of ${name}`;
  const step = name === 'cpu' ? ONE / 1000n : ONE;
  return amount % step === 0n ? undefined : `${name === 'cpu' ? 'whole thousandths' : 'a whole number'} of ${name}`;
}

// Names: isStandardContainerResourceName and IsExtendedResourceName of Kubernetes, pkg/apis/core/helper/helpers.go.

const STANDARD = ['cpu', 'memory', 'ephemeral-storage'];
const HUGE_PAGES = 'hugepages-';
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
/** The prefix leaves room for `requests.`, which quotas put in front. */
const EXTENDED = new RegExp(`^(?=[^/]{1,244}/)${LABEL}(?:\\.${LABEL})*/[A-Za-z0-9](?:[\\w.-]{0,61}[A-Za-z0-9])?$`);

function isResourceName(name: string): boolean {
  if (!name.includes('/')) return STANDARD.includes(name) || (/^[\w.-]+$/.test(name) && pageSize(name) !== undefined);
  return EXTENDED.test(name) && !name.startsWith('requests.') && !name.includes('kubernetes.io/');
}

export const isHugePages = (name: string) => name.startsWith(HUGE_PAGES);

function pageSize(name: string): bigint | undefined {
  const size = isHugePages(name) ? parseQuantity(name.slice(HUGE_PAGES.length)) : undefined;
  return size !== undefined && size > 0n && size % ONE === 0n ? size : undefined;
}

/** Of others request and limit are one number. */
const mayOvercommit = (name: string) => STANDARD.includes(name);

const amountOf = (checkedBefore: string) => parseQuantity(checkedBefore) ?? 0n;
