// Puts the rule in, and believes nothing but the ruleset that it reads back. Used by install and by the checker.
import { runCommand } from '../command.ts';
import type { Protocol } from '../contract.ts';
import { CodedError, errors } from '../errors.ts';
import { type BackendChoice, type Plan, planFamily } from './install-plan.ts';
import type { Family } from './model.ts';
import { takeLock } from './namespace-lock.ts';
import { FAMILIES, programOf } from './programs.ts';
import { isGuarded, type Look, takeLook } from './ruleset-check.ts';
import type { Reading } from './ruleset-reader.ts';

export interface InstallOptions {
  protocol: Protocol;
  backend: BackendChoice;
  /** Milliseconds to wait for a lock: the xtables lock, and that of other runs of ours. */
  lockWait: number;
  /** Milliseconds for each program, the wait for the xtables lock not counted. */
  commandTimeout: number;
  /** Environment of the programs. */
  environment: NodeJS.ProcessEnv;
}

/** What was done about a family. */
export type Done =
  | { action: 'left'; owner: string }
  | { action: 'inserted'; backend: 'nft' | 'legacy' }
  | { action: 'absent'; reason: string }
  | { action: 'failed'; code: string; message: string };

export interface Installed {
  guarded: boolean;
  families: Record<Family, Done>;
  /** The ruleset as it was read back. */
  look: Look;
  warnings: CodedError[];
}

/** iptables exits with 4 where a lock or a concurrent change was in its way (RESOURCE_PROBLEM in xshared.h). */
const RESOURCE_PROBLEM = 4;
const MAX_TRIES = 5;

/**
 * Installs the rule for both families where it is needed, then reads the ruleset back.
 * @returns what was done, and whether an INVALID packet would now be dropped
 * @throws CodedError where the ruleset cannot be read at all
 */
export async function install(read: () => Promise<Reading>, options: InstallOptions): Promise<Installed> {
  const lock = await takeLock(options.lockWait);
  try {
    const before = await takeLook(read);
    const [ipv4, ipv6] = await Promise.all(FAMILIES.map((family) => installFamily(before, family, options)));
    const families = { ipv4, ipv6 } as Record<Family, Done>;
    const changed = Object.values(families).some(({ action }) => action === 'inserted' || action === 'failed');
    const look = changed ? await takeLook(read) : before;
    const warnings = lock.held ? [] : [errors.LOCK_BUSY(options.lockWait)];
    return { guarded: isGuarded(look), families, look, warnings };
  } finally {
    lock.release();
  }
}

async function installFamily(before: Look, family: Family, options: InstallOptions): Promise<Done> {
  const { presence } = before.families[family];
  const plan = planFamily(before.reading, before.families[family], family, options);
  const done = await carryOut(plan, family, options);
  // Where no packet of the family can arrive, a rule that cannot be put in does no harm.
  return done.action === 'failed' && !presence.present ? { action: 'absent', reason: presence.reason } : done;
}

async function carryOut(plan: Plan, family: Family, options: InstallOptions): Promise<Done> {
  switch (plan.do) {
    case 'leave':
      return { action: 'left', owner: plan.owner };
    case 'nothing':
      return { action: 'absent', reason: plan.reason };
    case 'fail':
      return { action: 'failed', code: plan.error.code, message: plan.error.message };
    case 'insert':
      return insert(plan, family, options).catch((error: unknown) => {
        const code = error instanceof CodedError ? error.code : 'UNEXPECTED';
        return { action: 'failed', code, message: String(error instanceof Error ? error.message : error) };
      });
  }
}

async function insert(plan: Plan & { do: 'insert' }, family: Family, options: InstallOptions): Promise<Done> {
  const { backend, input } = plan;
  const { environment } = options;
  const program = programOf(family, backend, 'restore');
  const seconds = Math.max(1, Math.ceil(options.lockWait / 1000));
  const timeout = options.lockWait + options.commandTimeout;
  const deadline = Date.now() + options.lockWait;
  for (let tries = 1; ; tries++) {
    const restored = await runCommand(program, ['--noflush', '--wait', String(seconds)], {
      timeout,
      input,
      env: environment,
    });
    if (restored.exitCode === 0) return { action: 'inserted', backend };
    const retry = restored.exitCode === RESOURCE_PROBLEM && tries < MAX_TRIES && Date.now() < deadline;
    if (!retry) throw errors.COMMAND_FAILED(program, restored.exitCode, restored.stderr.trim().slice(0, 500));
  }
}
