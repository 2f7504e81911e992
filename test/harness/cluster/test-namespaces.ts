// Namespaces of a test: made for it, and gone when it ends.
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { OPT_IN_LABEL } from '../../../lib/contract.ts';
import { apply, kubectl } from './kubectl.ts';

/** @param labels beside the opt-in @returns its name */
export async function optedInNamespace(t: Test, labels: Record<string, string> = {}): Promise<string> {
  return plainNamespace(t, { [OPT_IN_LABEL]: 'enabled', ...labels });
}

/** A namespace that is not opted in. */
export async function plainNamespace(t: Test, labels: Record<string, string> = {}): Promise<string> {
  const name = `e2e-${randomBytes(4).toString('hex')}`;
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  t.teardown(() => kubectl(['delete', 'namespace', name, '--wait=false', '--ignore-not-found']));
  return name;
}
