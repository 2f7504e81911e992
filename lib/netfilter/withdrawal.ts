// Takes out of a network namespace what install has put in, and nothing else.
import type { Protocol } from '../contract.ts';
import { errors } from '../errors.ts';
import { CHAIN, findMangle, findOwnTable, isRule, restoreInput, TABLE } from './drop-rule.ts';
import { EXEMPTION_COMMENT } from './exemption.ts';
import { type Backend, type Rule, type Ruleset, tableFamilyOf, tableName } from './model.ts';
import type { NamespaceAccess } from './namespace-access.ts';
import { runNftScript } from './nft-script.ts';
import { EXEMPTION_TABLE } from './nft-statement.ts';
import { FAMILIES, type Family } from './packet.ts';
import { programOf, type RulesetSnapshot } from './ruleset-reader.ts';

/** What is to be taken out; a text is empty where there is nothing. */
export interface Withdrawal {
  /** Commands for nft, as one transaction. */
  nft: string;
  /** Input for `iptables-legacy-restore --noflush`, of each family. */
  legacy: Record<Family, string>;
}

/**
 * Pure. Rules of iptables-nft are deleted by their handles, which are never used again: nothing else can be hit.
 * @param protocols of the rule. That for all protocols is also Istio's up to 1.23, and nothing tells the two apart: it is
 *   ours only where the caller has put it in
 */
export function planWithdrawal(ruleset: Ruleset, protocols: Protocol[]): Withdrawal {
  const nft: string[] = [];
  const legacy: Withdrawal['legacy'] = { ipv4: '', ipv6: '' };
  for (const family of FAMILIES) {
    for (const { id } of ourRules(ruleset, family, 'nft', protocols))
      nft.push(`delete rule ${tableFamilyOf(family)} ${TABLE} ${CHAIN} handle ${id}`);
    const own = findOwnTable(ruleset, family);
    if (own) nft.push(`delete table ${tableName(own)}`);
    const deletions = ourRules(ruleset, family, 'legacy', protocols).map(({ text }) => text.replace(/^-A/, '-D'));
    if (deletions.length > 0) legacy[family] = restoreInput(deletions);
  }
  const hasExemption = ruleset.some((table) => table.backend === 'nft' && tableName(table) === EXEMPTION_TABLE);
  return { nft: [...nft, ...(hasExemption ? [`delete table ${EXEMPTION_TABLE}`] : [])].join('\n'), legacy };
}

function ourRules(ruleset: Ruleset, family: Family, backend: Backend, protocols: Protocol[]): Rule[] {
  const rules = findMangle(ruleset, family, backend)?.chains.get(CHAIN)?.rules ?? [];
  return rules.filter(({ options }) => {
    const isExemption = options?.some(({ flag, values }) => flag === '--comment' && values[0] === EXEMPTION_COMMENT);
    return isExemption || protocols.some((protocol) => isRule(options, protocol));
  });
}

/** How often the ruleset is read again: another program may change it between a read and what follows from it. */
const MAX_TRIES = 3;

/**
 * Takes out every rule and table of ours, and reads the ruleset back.
 * @param options.protocols see planWithdrawal
 * @param options.timeout milliseconds for each program
 * @param options.environment of iptables-legacy
 * @throws CodedError WITHDRAWAL_FAILED where something of ours is left, or what `read` throws
 */
export async function withdraw(
  read: () => Promise<RulesetSnapshot>,
  namespace: NamespaceAccess,
  options: { protocols: Protocol[]; timeout: number; environment: NodeJS.ProcessEnv },
): Promise<void> {
  const { protocols, timeout, environment: env } = options;
  const lock = await namespace.lock(timeout);
  try {
    let failure = '';
    for (let tries = 0; ; tries++) {
      const { ruleset } = await read();
      const { nft, legacy } = planWithdrawal(ruleset, protocols);
      const inputs = FAMILIES.filter((family) => legacy[family] !== '');
      if (nft === '' && inputs.length === 0) return;
      if (tries === MAX_TRIES) throw errors.WITHDRAWAL_FAILED(failure);
      const runs = inputs.map((family) => {
        const args = ['--noflush', '--wait', String(Math.ceil(timeout / 1000))];
        const limits = { timeout: 2 * timeout, input: legacy[family], env };
        return namespace.run(programOf(family, 'legacy', 'restore'), args, limits);
      });
      if (nft !== '') runs.push(runNftScript(nft, timeout, namespace.run));
      for (const { exitCode, stderr } of await Promise.all(runs)) if (exitCode !== 0) failure = stderr.trim();
    }
  } finally {
    lock.release();
  }
}
