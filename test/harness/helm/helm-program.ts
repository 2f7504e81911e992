// The real helm, and the chart of this repository.
import { fileURLToPath } from 'node:url';
import { OWN_NAMESPACE } from '../../../lib/contract.ts';
import { readSettings } from '../../../tools/cluster/cluster-settings.ts';
import { findReleasePrograms } from '../../../tools/release/release-programs.ts';
import { must, run } from '../netns/processes.ts';

export const CHART = fileURLToPath(new URL('../../../manifests/chart', import.meta.url));
export const RELEASE = 'invalid-drop';
/** `helm upgrade --wait` waits for a rollout. */
const LIMIT = 180_000;

const { cache } = readSettings(process.env);
const { helm: program } = await findReleasePrograms(['helm'], cache, () => {}, new AbortController().signal);
const inOwnNamespace = (args: string[]) => [...args, '--namespace', OWN_NAMESPACE];

/** Runs helm for a release in our namespace; an exit code other than 0 is an error. @returns what it printed */
export function helm(...args: string[]): Promise<string> {
  return must(program, inOwnNamespace(args), { limit: LIMIT });
}

/** As helm, whatever its exit code. */
export function tryHelm(...args: string[]) {
  return run(program, inOwnNamespace(args), { limit: LIMIT });
}

/** `helm lint` and others that know no namespace. */
export function plainHelm(...args: string[]) {
  return run(program, args, { limit: LIMIT });
}

/** Arguments that set values. */
export function setValues(values: object): string[] {
  return Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
}
