// Puts the exemption in: the nft table where this kernel has what it needs, else what of it can be had.
import { type RunCommand, runCommand } from '../command.ts';
import { CodedError, errors } from '../errors.ts';
import { CHAIN, findMangle, restoreInput } from './drop-rule.ts';
import {
  ALARM_CHAIN,
  ANSWER_CHAINS,
  EXEMPTION_COMMENT,
  exemptionRule,
  exemptionTable,
  unlistedListeners,
} from './exemption.ts';
import type { Backend, Ruleset } from './model.ts';
import type { NamespaceAccess } from './namespace-access.ts';
import { runNftScript } from './nft-script.ts';
import type { Family } from './packet.ts';
import { checkRuleset, exemptionTables, isExempt, type RulesetCheck } from './ruleset-check.ts';
import type { RulesetSnapshot } from './ruleset-reader.ts';

/**
 * What was done about the exemption. `table`: the whole nft table; `rule`: a rule of iptables for connections that the
 * pod opened. `notes`: whether connections with stray segments are noted.
 */
export type ExemptionInstall =
  | { action: 'left' }
  | { action: 'inserted'; form: 'table' | 'rule' }
  | { action: 'failed'; code: string; message: string };

/** Whether the table lacks what it does about the pod's own segments, which no verdict tells. */
function lacksAnswers(ruleset: Ruleset): boolean {
  const chains = exemptionTables(ruleset).flatMap((table) => ANSWER_CHAINS.map((name) => table.chains.get(name)));
  return chains.some((chain) => chain === undefined || chain.rules.length === 0);
}

/** Whether the first stray segment is reported to whoever monitors the ruleset. */
export function raisesAlarm(check: RulesetCheck | undefined): boolean {
  const rules = exemptionTables(check?.snapshot.ruleset ?? []).flatMap(
    (table) => table.chains.get(ALARM_CHAIN)?.rules ?? [],
  );
  return rules.some(({ steps }) => steps.some((step) => 'act' in step && step.act.do === 'alarm'));
}

/** Whether putting the exemption in (again) could help: see isExempt for what is missing. */
export function lacksExemption(check: RulesetCheck): boolean {
  const { ruleset } = check.snapshot;
  if (lacksAnswers(ruleset)) return true;
  return !check.tableSpares && !isExempt(check);
}

/** What this kernel or nft may lack, the most wanted first: nft_quota, `socket wildcard`. */
const FORMS = [
  { socket: true, alarm: true },
  { socket: true, alarm: false },
  { socket: false, alarm: true },
  { socket: false, alarm: false },
];

/**
 * Puts the nft table in, or what of it this kernel takes.
 * @returns why segments with a socket of their own are not spared by it; undefined where they are. Never throws.
 */
export async function putTable(
  { snapshot, sockets }: RulesetCheck,
  timeout: number,
  run: RunCommand = runCommand,
): Promise<CodedError | undefined> {
  if (!snapshot.nftWorks) return errors.NFT_MISSING();
  let error: CodedError | undefined;
  try {
    for (const form of FORMS) {
      const { exitCode, stderr } = await runNftScript(exemptionTable(sockets, form), timeout, run);
      if (exitCode === 0) return form.socket ? undefined : error;
      error ??= errors.COMMAND_FAILED('nft', exitCode, stderr.trim().slice(0, 200));
    }
    return error;
  } catch (failure) {
    return failure instanceof CodedError ? failure : errors.COMMAND_FAILED('nft', null, String(failure));
  }
}

/**
 * Input for `iptables-restore --noflush` that puts the rule of iptables at position 1, and removes every other one of
 * ours.
 * @returns undefined where no port is left for it
 */
export function ruleInput({ snapshot, sockets }: RulesetCheck, family: Family, backend: Backend): string | undefined {
  const rule = exemptionRule(family, sockets);
  if (rule === undefined) return undefined;
  const table = findMangle(snapshot.ruleset, family, backend);
  const old = (table?.chains.get(CHAIN)?.rules ?? []).flatMap(({ options, text }) => {
    const isOurs = options?.some(({ flag, values }) => flag === '--comment' && values[0] === EXEMPTION_COMMENT);
    return isOurs ? [text.replace(/^-A/, '-D')] : [];
  });
  return restoreInput([...old, `-I ${CHAIN} 1 ${rule}`]);
}

/**
 * Adds listeners to the table that came after it, and of which no connection has told the kernel: INVALID packets to such a
 * one pass, and no rule helps.
 * @param read reads the namespace's ruleset
 * @param timeout milliseconds for nft
 * @returns the check, or that of the ruleset with the listeners that were added
 * @throws CodedError as `read`
 */
export async function listListeners(
  check: RulesetCheck,
  read: () => Promise<RulesetSnapshot>,
  timeout: number,
  namespace: NamespaceAccess,
): Promise<RulesetCheck> {
  const missing = unlistedListeners(check.snapshot.ruleset, check.sockets);
  if (missing.length === 0) return check;
  const added = await runNftScript(missing.join('\n'), timeout, namespace.run).catch(() => undefined);
  return added?.exitCode === 0 ? await checkRuleset(read, undefined, namespace) : check;
}
