// What an install does about one family: a decision from data to data.
import type { Protocol } from '../contract.ts';
import { type CodedError, errors } from '../errors.ts';
import { CHAIN, ownerOf, positionsOf, RULE, TABLE } from './drop-rule.ts';
import type { Family } from './model.ts';
import { type FamilyLook, isFamilyGuarded } from './ruleset-check.ts';
import type { Reading } from './ruleset-reader.ts';

export type BackendChoice = 'auto' | 'nft' | 'legacy';

export type Plan =
  | { do: 'leave'; owner: string }
  | { do: 'nothing'; reason: string }
  | { do: 'insert'; backend: 'nft' | 'legacy'; input: string }
  | { do: 'fail'; error: CodedError };

/**
 * The backend that istio-iptables would choose (DetectIptablesVersion, Istio 1.24 to 1.32): legacy where it holds
 * tables already, else nft, else legacy; each family for itself.
 */
export function chooseBackend(reading: Reading, family: Family, choice: BackendChoice): 'nft' | 'legacy' {
  if (choice !== 'auto') return choice;
  return reading.legacyTables[family].length > 0 || !reading.nftWorks ? 'legacy' : 'nft';
}

/**
 * Leaves a guarded family as it is. Otherwise one transaction puts our rule at position 1 and takes away every
 * other copy of it, so that one is left.
 * @returns what to do; `input` is for `iptables-restore --noflush`
 */
export function planFamily(
  reading: Reading,
  look: FamilyLook,
  family: Family,
  options: { protocol: Protocol; backend: BackendChoice },
): Plan {
  if (!look.presence.present && look.presence.kernel) return { do: 'nothing', reason: look.presence.reason };
  if (isFamilyGuarded(look)) return { do: 'leave', owner: ownersOf(look) };
  // Where our own rule might be and cannot be seen, each try would add one more.
  const unseen = reading.unreadable[family] ?? reading.unexplained[family];
  if (unseen) return { do: 'fail', error: unseen };
  const backend = chooseBackend(reading, family, options.backend);
  const positions = positionsOf(reading.ruleset, family, backend, options.protocol);
  if (positions.length === 1 && positions[0] === 1) return { do: 'fail', error: errors.INSERT_USELESS(family) };
  const rule = RULE[options.protocol];
  const lines = [`*${TABLE}`, ...positions.map(() => `-D ${CHAIN} ${rule}`), `-I ${CHAIN} 1 ${rule}`, 'COMMIT', ''];
  return { do: 'insert', backend, input: lines.join('\n') };
}

function ownersOf(look: FamilyLook): string {
  const rules = Object.values(look.classes).flatMap((verdict) => (verdict.verdict === 'dropped' ? verdict.by : []));
  return [...new Set(rules.map(ownerOf))].join(', ');
}
