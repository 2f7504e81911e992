// nft 0.9.8 prints each iptables extension as `{"xt": null}`, without its name (src/json.c): iptables-nft-save names
// them, in the same order.
import type { SavedRule } from './iptables-save.ts';
import type { Step } from './model.ts';
import type { NftRule } from './nft-json.ts';
import { tokenize } from './save-text.ts';

/** What stands for an extension in a rule until iptables-nft-save tells more. */
export function opaqueStep(type: string | undefined, name: string | undefined): Step {
  if (type === undefined) return { act: { do: 'unknown', text: NAMELESS } };
  const text = `xt ${type} ${name}`;
  return type === 'match' ? { when: { constant: undefined, text } } : { act: { do: 'unknown', text } };
}

const NAMELESS = 'xt without a name';

/**
 * Gives the extensions of a rule the names that the save text has. Where the two do not have the same number of them
 * none is named: some that iptables calls extensions are nft's own expressions, and they must not be confused.
 */
export function nameExtensions(rule: NftRule, saved: SavedRule): void {
  const isNameless = (step: Step) => 'act' in step && step.act.do === 'unknown' && step.act.text === NAMELESS;
  const count = rule.steps.filter(isNameless).length;
  if (count === 0) return;
  const names = modulesOf(saved.text).map((name) => ({ type: 'match', name }));
  const hasOwnTarget = rule.steps.some((step) => 'act' in step && !isNameless(step));
  if (saved.target !== undefined && !hasOwnTarget) names.push({ type: 'target', name: saved.target });
  if (names.length !== count) return;
  rule.opaque = names;
  let i = 0;
  rule.steps = rule.steps.map((step) => (isNameless(step) ? opaqueStep(names[i]?.type, names[i++]?.name) : step));
}

/** Names that follow -m, in their order; a quoted word is no option. */
function modulesOf(text: string): string[] {
  const tokens = tokenize(text);
  return tokens.flatMap(({ text: word }, i) => {
    const before = tokens[i - 1];
    const isModule = before?.text === '-m' && !before.quoted && tokens[i - 2]?.text !== '--comment';
    return isModule ? [word] : [];
  });
}
