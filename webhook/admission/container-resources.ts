// What our containers ask for and may use, as an option's text: cpu=10m:200m,memory=32Mi:128Mi.
import { type Option, textLike } from '../../lib/options.ts';

type Amounts = Record<string, string>;

/** `resources` of a container. */
export interface ContainerResources {
  requests: Amounts;
  limits: Amounts;
}

const TEXT =
  /^cpu=(?<cpu>[\d.]+m?)(?::(?<cpuLimit>[\d.]+m?))?,memory=(?<memory>\d+[KMG]i)(?::(?<memoryLimit>\d+[KMG]i))?$/;
const AMOUNT = /^(\d{1,9}(?:\.\d{1,3})?)(m|Ki|Mi|Gi)?$/;
const UNITS: Record<string, number> = { m: 0.001, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** An option whose value is the resources of a container; read it with containerResources. */
export function resourcesOption(described: { env: string; help: string; default: string }): Option<string> {
  const allowed =
    'cpu=REQUEST:LIMIT,memory=REQUEST:LIMIT such as cpu=10m:1,memory=32Mi:128Mi; without :LIMIT there is none';
  // A request above its limit would have the API server refuse every pod.
  const parse = (text: string) => (readResources(text) ? text : undefined);
  return { ...textLike(TEXT, allowed, described), parse };
}

/** @param text what a resourcesOption allows */
export function containerResources(text: string): ContainerResources {
  const resources = readResources(text);
  if (!resources) throw new TypeError(`no resources: ${text}`);
  return resources;
}

function readResources(text: string): ContainerResources | undefined {
  const { cpu = '', cpuLimit, memory = '', memoryLimit } = TEXT.exec(text)?.groups ?? {};
  const pairs = [
    [cpu, cpuLimit ?? cpu],
    [memory, memoryLimit ?? memory],
  ] as const;
  if (!pairs.every(([request, limit]) => numberOf(request) > 0 && numberOf(request) <= numberOf(limit)))
    return undefined;
  const limits = { ...(cpuLimit && { cpu: cpuLimit }), ...(memoryLimit && { memory: memoryLimit }) };
  return { requests: { cpu, memory }, limits };
}

/** Cores or bytes; NaN where it is no quantity. */
function numberOf(quantity: string): number {
  const [, digits, unit = ''] = AMOUNT.exec(quantity) ?? [];
  return Number(digits) * (UNITS[unit] ?? 1);
}
