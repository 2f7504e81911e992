// A guard of the node agent on a test's network namespace, in this process.
import { statSync } from 'node:fs';
import type { Test } from 'tap';
import {
  type GuardDependencies,
  type GuardSettings,
  type GuardState,
  NamespaceGuard,
} from '../../../node-agent/guard/namespace-guard.ts';
import { ProgramSlots } from '../../../node-agent/guard/program-slots.ts';
import { shareRulesets } from '../../../node-agent/guard/shared-rulesets.ts';
import { waitUntil } from '../wait-until.ts';
import { patient } from './processes.ts';

/** As of a pod without annotations. */
export const GUARD_SETTINGS: GuardSettings = {
  mode: 'enforce',
  protocol: 'tcp',
  onDrift: 'repair',
  rescue: 'enabled',
  beLiberal: 'enabled',
};

/** A line of the guard's log. */
export type GuardLine = { level: string; event: string; [key: string]: unknown };

export interface TestGuard {
  guard: NamespaceGuard;
  lines: GuardLine[];
  states: GuardState[];
  /** Waits for the next line of the event that was not waited for yet. */
  next(event: string): Promise<GuardLine>;
}

/** Dependencies that are the same for each guard of a test. */
export function guardDependencies(): Omit<GuardDependencies, 'log' | 'onChange'> {
  return {
    commandTimeout: patient(10_000),
    interval: 3_600_000,
    procSysNet: '/proc/sys/net',
    slots: new ProgramSlots(4),
    keeping: shareRulesets(),
    environment: process.env,
  };
}

/** A guard that is not started. It is stopped at the test's end. */
export function makeGuard(
  t: Test,
  path: string,
  settings: Partial<GuardSettings> = {},
  dependencies: Partial<GuardDependencies> = {},
): TestGuard {
  const lines: GuardLine[] = [];
  const states: GuardState[] = [];
  const guard = new NamespaceGuard(
    { path, inode: statSync(path).ino },
    { ...GUARD_SETTINGS, ...settings },
    {
      ...guardDependencies(),
      log: (level, event, details) => lines.push({ ...details, level, event }),
      onChange: (state) => states.push(state),
      ...dependencies,
    },
  );
  t.teardown(() => guard.stop());
  let seen = 0;
  const next = async (event: string) => {
    const found = await waitUntil(
      () => lines.slice(seen).find((line) => line.event === event),
      patient(30_000),
      undefined,
      5,
    );
    if (!found) throw new Error(`no ${event} in ${JSON.stringify(lines.slice(seen))}`);
    seen = lines.indexOf(found) + 1;
    return found;
  };
  return { guard, lines, states, next };
}

/** A guard after its first check. */
export async function startGuard(...given: Parameters<typeof makeGuard>): Promise<TestGuard> {
  const made = makeGuard(...given);
  await made.guard.start();
  return made;
}
