// Puts the rule in, and trusts only the ruleset that it reads back. Used by install and by the checker.
import { monotonicNow } from '../clock.ts';
import type { Protocol } from '../contract.ts';
import { type CodedError, describeError, errors } from '../errors.ts';
import {
  CHAIN,
  findMangle,
  findOwnTable,
  OWNER,
  ownerOf,
  ownTableInput,
  positionsOf,
  RULE,
  removeOwnTable,
  restoreInput,
} from './drop-rule.ts';
import { type ExemptionInstall, lacksExemption, listListeners, putTable, ruleInput } from './exemption-installer.ts';
import type { Backend } from './model.ts';
import { type NamespaceAccess, ownNamespace } from './namespace-access.ts';
import { runNftScript } from './nft-script.ts';
import { FAMILIES, type Family } from './packet.ts';
import {
  checkRuleset,
  droppingRules,
  type FamilyCheck,
  isFamilyGuarded,
  isGuarded,
  type RulesetCheck,
  unsparedReasons,
} from './ruleset-check.ts';
import { programOf, type RulesetSnapshot } from './ruleset-reader.ts';

export interface InstallOptions {
  protocol: Protocol;
  /** auto: the backend that istio-iptables would choose. */
  backend: 'auto' | Backend;
  /** Milliseconds to wait for a lock: the xtables lock, and that of other runs of ours. */
  lockWait: number;
  /** Milliseconds for each program, the wait for the xtables lock not counted. */
  commandTimeout: number;
  /** Environment of the programs. */
  environment: NodeJS.ProcessEnv;
}

/** What was done about a family. */
export type FamilyInstall =
  | { action: 'left'; owner: string }
  /** `table`: in an nft table of our own, because mangle cannot take the rule. */
  | { action: 'inserted'; backend: Backend; form: 'rule' | 'table' }
  | { action: 'absent'; reason: string }
  | { action: 'failed'; code: string; message: string };

export interface InstallResult {
  guarded: boolean;
  families: Record<Family, FamilyInstall>;
  exemption: ExemptionInstall;
  /** Of the ruleset as it was read back. */
  check: RulesetCheck;
  warnings: CodedError[];
}

/** iptables exits with 4 where a lock or a concurrent change was in its way (RESOURCE_PROBLEM in xshared.h). */
const RESOURCE_PROBLEM = 4;
const MAX_TRIES = 5;

/**
 * Installs the rule for both families where it is needed, then reads the ruleset back.
 * @param namespace that `read` reads
 * @param found what a check has just read, where no other run of ours can have changed it since
 * @returns what was done, and whether an INVALID packet is dropped now
 * @throws CodedError where the ruleset cannot be read at all
 */
export async function install(
  read: () => Promise<RulesetSnapshot>,
  options: InstallOptions,
  namespace: NamespaceAccess = ownNamespace,
  found?: RulesetCheck,
): Promise<InstallResult> {
  const started = monotonicNow();
  const lock = await namespace.lock(options.lockWait);
  const waited = Math.round(monotonicNow() - started);
  try {
    const now = found ?? (await checkRuleset(read, undefined, namespace));
    // Else each install would fail in a pod whose application opened a listener while no checker ran.
    const before = await listListeners(now, read, options.commandTimeout, namespace);
    const lacking = lacksExemption(before);
    const [ipv4, ipv6, noTable] = await Promise.all([
      installFamily(before, 'ipv4', options, namespace),
      installFamily(before, 'ipv6', options, namespace),
      lacking ? putTable(before, options.commandTimeout, namespace.run) : undefined,
    ]);
    const families = { ipv4, ipv6 };
    const changed = lacking || [ipv4, ipv6].some(({ action }) => action === 'inserted' || action === 'failed');
    // What an install does not change, such as listeners, is not read again: the kernel takes milliseconds for it.
    let check = changed ? await checkRuleset(read, before, namespace) : before;
    if (noTable && unsparedReasons(check).length > 0) {
      await Promise.all(FAMILIES.map((family) => insertExemptionRule(check, family, options, namespace)));
      check = await checkRuleset(read, check, namespace);
    }
    const exemption = exemptionInstall(lacking, noTable, check);
    const warnings = lock.held ? [] : [errors.LOCK_BUSY(lock.holder, waited)];
    return { guarded: isGuarded(check), families, exemption, check, warnings };
  } finally {
    lock.release();
  }
}

function exemptionInstall(lacking: boolean, noTable: CodedError | undefined, check: RulesetCheck): ExemptionInstall {
  if (!lacking) return { action: 'left' };
  const reasons = unsparedReasons(check);
  if (reasons.length === 0) return { action: 'inserted', form: noTable ? 'rule' : 'table' };
  const { code, message } = errors.EXEMPTION_FAILED([...(noTable ? [noTable.message] : []), ...reasons].join('; '));
  return { action: 'failed', code, message };
}

/** Where it fails, what the ruleset then lets pass tells. */
async function insertExemptionRule(
  check: RulesetCheck,
  family: Family,
  options: InstallOptions,
  namespace: NamespaceAccess,
): Promise<void> {
  const backend = chooseBackend(check.snapshot, family, options.backend);
  const input = check.families[family].status.present ? ruleInput(check, family, backend) : undefined;
  if (input !== undefined) await restore({ backend, input }, family, options, namespace).catch(() => undefined);
}

async function installFamily(
  before: RulesetCheck,
  family: Family,
  options: InstallOptions,
  namespace: NamespaceAccess,
): Promise<FamilyInstall> {
  const { status } = before.families[family];
  const plan = planFamily(before.snapshot, before.families[family], family, options);
  let done = await carryOut(plan, family, options, namespace);
  const { ruleset } = before.snapshot;
  if (done.action === 'failed' && isRefusedByMangle(plan) && !findOwnTable(ruleset, family)) {
    const input = ownTableInput(family, options.protocol);
    const beside = await carryOut({ do: 'insert', form: 'table', input }, family, options, namespace);
    if (beside.action === 'inserted') done = beside;
  }
  // Where no packet of the family can arrive, a rule that cannot be put in does no harm.
  return done.action === 'failed' && !status.present ? { action: 'absent', reason: status.reason } : done;
}

/** A native table or chain of nft may have the names of iptables', and not be what iptables-nft can write to. */
function isRefusedByMangle(plan: InstallPlan): boolean {
  return plan.do === 'insert' && plan.form === 'rule' && plan.backend === 'nft';
}

export type InstallPlan =
  | { do: 'leave'; owner: string }
  | { do: 'nothing'; reason: string }
  | { do: 'insert'; form: 'rule'; backend: Backend; input: string }
  | { do: 'insert'; form: 'table'; input: string }
  /** Takes our rule out, because it does harm. */
  | { do: 'withdraw'; form: 'rule'; backend: Backend; input: string; error: CodedError }
  | { do: 'withdraw'; form: 'table'; input: string; error: CodedError }
  | { do: 'fail'; error: CodedError };

/**
 * The backend that istio-iptables would choose (DetectIptablesVersion, Istio 1.24 to 1.32): legacy where it holds
 * tables already, else nft, else legacy; each family for itself.
 */
export function chooseBackend(snapshot: RulesetSnapshot, family: Family, choice: InstallOptions['backend']): Backend {
  if (choice !== 'auto') return choice;
  return snapshot.legacyTables[family].length > 0 || !snapshot.nftWorks ? 'legacy' : 'nft';
}

/**
 * Pure. Leaves a guarded family as it is. Otherwise one transaction puts our rule at position 1 and removes every other
 * copy of it, so that one is left. Where it cannot be written there, or would not be called, a table of our own holds it.
 * @returns what to do; `input` is for `iptables-restore --noflush`, or for nft where the form is a table
 */
export function planFamily(
  snapshot: RulesetSnapshot,
  check: FamilyCheck,
  family: Family,
  { protocol, backend: choice }: Pick<InstallOptions, 'protocol' | 'backend'>,
): InstallPlan {
  if (!check.status.present && check.status.unsupported) return { do: 'nothing', reason: check.status.reason };
  const guarded = isFamilyGuarded(check);
  if (guarded && droppingRules(check).length > 0) return { do: 'leave', owner: ownersOf(check) };
  if (check.synproxy) return planWithoutRule(snapshot, family, protocol, check.synproxy.rule?.text ?? '');
  const unread = snapshot.readError[family];
  if (unread) return { do: 'fail', error: unread };
  // Where our own rule might be in mangle and cannot be seen, each try would add one more.
  const unseen = snapshot.xtError[family];
  const table = snapshot.nftWorks && !findOwnTable(snapshot.ruleset, family) && ownTableInput(family, protocol);
  if (unseen) return table ? { do: 'insert', form: 'table', input: table } : { do: 'fail', error: unseen };
  const backend = chooseBackend(snapshot, family, choice);
  if (table && findMangle(snapshot.ruleset, family, backend)?.dormant === true) {
    return { do: 'insert', form: 'table', input: table };
  }
  const positions = positionsOf(snapshot.ruleset, family, backend, protocol);
  if (positions.length === 1 && positions[0] === 1) {
    // Nothing is left for the rule to drop as long as other rules take all flows out of conntrack.
    return guarded ? { do: 'leave', owner: OWNER } : { do: 'fail', error: errors.INSERT_USELESS(family) };
  }
  const rule = RULE[protocol];
  const input = restoreInput([...positions.map(() => `-D ${CHAIN} ${rule}`), `-I ${CHAIN} 1 ${rule}`]);
  return { do: 'insert', form: 'rule', backend, input };
}

/** SYNPROXY may have come after our rule. */
function planWithoutRule({ ruleset }: RulesetSnapshot, family: Family, protocol: Protocol, rule: string): InstallPlan {
  const error = errors.SYNPROXY_IN_USE(family, rule);
  if (findOwnTable(ruleset, family)) return { do: 'withdraw', form: 'table', input: removeOwnTable(family), error };
  for (const backend of ['nft', 'legacy'] as const) {
    const ours = positionsOf(ruleset, family, backend, protocol).map(() => `-D ${CHAIN} ${RULE[protocol]}`);
    if (ours.length > 0) return { do: 'withdraw', form: 'rule', backend, input: restoreInput(ours), error };
  }
  return { do: 'fail', error };
}

function ownersOf(check: FamilyCheck): string {
  return [...new Set(droppingRules(check).map(ownerOf))].join(', ');
}

async function carryOut(
  plan: InstallPlan,
  family: Family,
  options: InstallOptions,
  namespace: NamespaceAccess,
): Promise<FamilyInstall> {
  switch (plan.do) {
    case 'leave':
      return { action: 'left', owner: plan.owner };
    case 'nothing':
      return { action: 'absent', reason: plan.reason };
    case 'fail':
      return failedWith(plan.error);
    case 'withdraw':
      return write(plan, family, options, namespace).then(() => failedWith(plan.error), failedWith);
    case 'insert':
      return write(plan, family, options, namespace).then(() => insertedBy(plan), failedWith);
  }
}

function insertedBy({ form, ...plan }: Extract<InstallPlan, { do: 'insert' }>): FamilyInstall {
  return { action: 'inserted', backend: 'backend' in plan ? plan.backend : 'nft', form };
}

function write(
  plan: Extract<InstallPlan, { input: string }>,
  family: Family,
  options: InstallOptions,
  namespace: NamespaceAccess,
): Promise<void> {
  return plan.form === 'rule'
    ? restore(plan, family, options, namespace)
    : writeTable(plan.input, options.commandTimeout, namespace);
}

async function writeTable(input: string, timeout: number, { run }: NamespaceAccess): Promise<void> {
  const { exitCode, stderr } = await runNftScript(input, timeout, run);
  if (exitCode !== 0) throw errors.COMMAND_FAILED('nft', exitCode, stderr.trim().slice(0, 500));
}

function failedWith(error: unknown): FamilyInstall {
  return { action: 'failed', ...describeError(error) };
}

async function restore(
  { backend, input }: { backend: Backend; input: string },
  family: Family,
  { lockWait, commandTimeout, environment: env }: InstallOptions,
  { run }: NamespaceAccess,
): Promise<void> {
  const program = programOf(family, backend, 'restore');
  const seconds = Math.max(1, Math.ceil(lockWait / 1000));
  const deadline = monotonicNow() + lockWait;
  for (let tries = 1; ; tries++) {
    const args = ['--noflush', '--wait', String(seconds)];
    const restored = await run(program, args, { timeout: lockWait + commandTimeout, input, env });
    if (restored.exitCode === 0) return;
    const retry = restored.exitCode === RESOURCE_PROBLEM && tries < MAX_TRIES && monotonicNow() < deadline;
    if (!retry) throw errors.COMMAND_FAILED(program, restored.exitCode, restored.stderr.trim().slice(0, 500));
  }
}
