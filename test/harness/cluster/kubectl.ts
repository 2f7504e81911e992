// The cluster as tests reach it: kubectl with the environment's KUBECONFIG.
import { must, run } from '../netns/processes.ts';

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name?: string; generateName?: string; namespace?: string; [key: string]: unknown };
  [key: string]: unknown;
}

/** Runs kubectl to its end; an exit code other than 0 is an error that shows what was printed. Returns its output. */
export function kubectl(args: string[], options: { input?: string; limit?: number } = {}): Promise<string> {
  return must('kubectl', args, options);
}

/** As kubectl, whatever its exit code. */
export function tryKubectl(args: string[], options: { input?: string; limit?: number } = {}) {
  return run('kubectl', args, options);
}

/** Creates or changes objects; returns what kubectl printed. */
export function apply(...objects: object[]): Promise<string> {
  return applyMany(objects);
}

/** As apply, of so many objects that the API server may need more than the usual time: `limit` milliseconds. */
export function applyMany(objects: object[], limit?: number): Promise<string> {
  const input = JSON.stringify(listOf(objects));
  return kubectl(['apply', '-f', '-'], limit === undefined ? { input } : { input, limit });
}

/**
 * Creates a namespace, and returns once pods can be created in it: the API server refuses them until the
 * controller-manager has made the `default` ServiceAccount.
 */
export async function createNamespace(name: string, labels: Record<string, string>): Promise<void> {
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  await kubectl(['wait', '--for=create', 'serviceaccount/default', '-n', name, '--timeout=120s'], { limit: 130_000 });
}

/** Creates objects, which may have a generateName; returns them as they are stored. */
export async function create<T = KubernetesObject>(...objects: object[]): Promise<T[]> {
  const printed = await kubectl(['create', '-o', 'json', '-f', '-'], { input: JSON.stringify(listOf(objects)) });
  // One document after the other, no list.
  return printed.split(/(?<=^\})\n(?=\{$)/m).map((document) => JSON.parse(document) as T);
}

/** One object, or a list where no name is given: `getJson('pods', '-n', 'a')`. */
export async function getJson<T = KubernetesObject>(...args: string[]): Promise<T> {
  return JSON.parse(await kubectl(['get', '-o', 'json', ...args])) as T;
}

/** A path of the API server, such as a Service's through its proxy. */
export function getRaw(path: string): Promise<string> {
  return kubectl(['get', '--raw', path]);
}

function listOf(objects: object[]) {
  return { apiVersion: 'v1', kind: 'List', items: objects };
}
