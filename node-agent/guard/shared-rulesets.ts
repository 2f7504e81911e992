// What the rulesets of many pods have in common is kept once: most pods of a node have the same rules of a mesh.
import { hash } from 'node:crypto';
import type { Chain, Rule, Ruleset, Table } from '../../lib/netfilter/model.ts';
import type { SnapshotKeeping } from '../../lib/netfilter/ruleset-reader.ts';

/** Texts and shapes that are remembered, the last used ones. */
const [MAX_TEXTS, MAX_SHAPES] = [64, 16];
/**
 * Characters of a text, and of all that a ruleset was read from, beyond which they are not remembered: what pods have in
 * common is small, and a pod that writes one large ruleset after the other would have all of them kept.
 */
const [LARGE_TEXT, LARGE_RULESET] = [65_536, 131_072];

/** @returns of all guards of an agent. Digests are SHA-256: a pod that writes rules to forge one finds none. */
export function shareRulesets(): SnapshotKeeping {
  const texts = new Map<string, string>();
  const rulesets = new Map<string, Ruleset>();
  return {
    digest: (text) => hash('sha256', text, 'base64'),
    text: (text) => (text.length > LARGE_TEXT ? text : remember(texts, text, texts.get(text) ?? text, MAX_TEXTS)),
    ruleset: (ruleset, shape, length) => {
      if (length > LARGE_RULESET) return ruleset;
      const known = rulesets.get(shape);
      remember(rulesets, shape, known ?? ruleset, MAX_SHAPES);
      return known ? shareTables(ruleset, known) : ruleset;
    },
  };
}

function remember<V>(map: Map<string, V>, key: string, value: V, limit: number): V {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
  return value;
}

/** @param known of the same shape: the same rules in the same order, which differ in their counters only */
function shareTables(ruleset: Ruleset, known: Ruleset): Ruleset {
  return ruleset.map((table, i): Table => {
    const other = known[i];
    if (other?.chains.size !== table.chains.size) return table;
    const chains = [...table.chains.values()].map((chain) => shareChain(chain, other.chains.get(chain.name)));
    if (chains.every((chain) => other.chains.get(chain.name) === chain)) return other;
    return { ...other, chains: new Map(chains.map((chain) => [chain.name, chain])) };
  });
}

function shareChain(chain: Chain, known: Chain | undefined): Chain {
  if (known?.rules.length !== chain.rules.length) return chain;
  const rules = chain.rules.map((rule, i) => shareRule(rule, known.rules[i] as Rule));
  return rules.every((rule, i) => rule === known.rules[i]) ? known : { ...known, rules };
}

function shareRule({ packets, bytes }: Rule, known: Rule): Rule {
  if (packets === known.packets && bytes === known.bytes) return known;
  return { ...known, ...(packets !== undefined && { packets }), ...(bytes !== undefined && { bytes }) };
}
