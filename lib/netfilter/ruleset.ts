// All that the tools printed in a network namespace to one ruleset.
import { actionByName, parseSave, type SavedRule } from './iptables-save.ts';
import { type Rule, type Ruleset, type Step, type Table, tableName, type XtExpression } from './model.ts';
import { parseNft, type TableText } from './nft-json.ts';
import { FAMILIES, type Family } from './packet.ts';

/** What the tools printed in one network namespace; an absent member means that there is nothing of that kind. */
export interface RulesetDump {
  /** `nft -j list ruleset`, or the same with `-t`, which leaves out the elements of named sets */
  nft?: string;
  /** With `-t`: `nft -j list table` or `list set` of each set that a verdict needs. */
  setListings?: string[];
  /** `iptables-nft-save -c` and `ip6tables-nft-save -c` */
  nftSave?: Partial<Record<Family, string>>;
  /** `iptables-legacy-save -c` and `ip6tables-legacy-save -c` */
  legacySave?: Partial<Record<Family, string>>;
  /** What nft's text form tells of tables of which its JSON does not tell enough, by `FAMILY TABLE`. */
  tableTexts?: Record<string, TableText>;
}

/**
 * Verdicts rest on nft's JSON for all that nftables holds: iptables-nft-save leaves out of a rule what it does not know
 * (`ip saddr { 192.0.2.1, 192.0.2.2 } accept` is printed as `-j ACCEPT` by 1.8.9). Only for xt compat expressions, of
 * which nft prints no more than a name, does the same rule in iptables-nft-save tell more.
 * @returns every table that an arriving packet can meet
 * @throws SyntaxError if nft's text is no JSON
 */
export function parseRuleset({ nft, setListings, nftSave, legacySave, tableTexts = {} }: RulesetDump): Ruleset {
  const tables = nft ? parseNft(nft, setListings) : [];
  for (const table of tables) {
    const text = tableTexts[tableName(table)];
    if (text) addTableText(table, text);
  }
  for (const family of FAMILIES) {
    for (const saved of parseSave(nftSave?.[family] ?? '', 'nft', family)) resolveXt(tables, saved);
  }
  for (const { steps } of tables.flatMap(({ chains }) => [...chains.values()].flatMap(({ rules }) => rules))) {
    steps.splice(0, steps.length, ...steps.flatMap((step) => ('xt' in step ? stepsByName(step.xt) : [step])));
  }
  return [...tables, ...FAMILIES.flatMap((family) => parseSave(legacySave?.[family] ?? '', 'legacy', family))];
}

function addTableText(table: Table, { dormant, devices }: TableText): void {
  table.dormant = dormant;
  for (const { name, hook } of table.chains.values()) {
    const listed = devices[name];
    if (hook && listed) hook.devices ??= listed;
  }
}

/** The n-th rule of a chain is the n-th in both; where the counts differ, no rule of the chain is resolved. */
function resolveXt(tables: Table[], saved: Table): void {
  const table = tables.find(({ family, name }) => family === saved.family && name === saved.name);
  for (const chain of table?.chains.values() ?? []) {
    const others = saved.chains.get(chain.name)?.rules;
    if (others?.length === chain.rules.length) {
      chain.rules.forEach((rule, i) => void resolveRule(rule, others[i] as SavedRule));
    }
  }
}

/** What nft understood stays as it is: only the xt compat expressions that the saved rule names are replaced. */
function resolveRule(rule: Rule, saved: SavedRule): void {
  if (!rule.steps.some((step) => 'xt' in step)) return;
  rule.text = saved.text;
  if (saved.options) rule.options = saved.options;
  const names = namesOf(rule, saved);
  let next = 0;
  rule.steps = rule.steps.flatMap((step) => {
    if (!('xt' in step)) return [step];
    return resolve(step.xt.type === undefined ? (names[next++] ?? step.xt) : step.xt, saved) ?? [step];
  });
}

/**
 * nft 0.9.8 prints each xt compat expression as `{"xt": null}` (src/json.c): iptables-nft-save names them, in the same
 * order. Where the two do not have the same number of them none is named: some that iptables calls extensions are nft's
 * own expressions, and they must not be confused.
 */
function namesOf(rule: Rule, { matches, target }: SavedRule): XtExpression[] {
  const count = rule.steps.filter((step) => 'xt' in step && step.xt.type === undefined).length;
  const modules = matches.map(({ module }) => module).filter((module) => module !== '');
  const names: XtExpression[] = modules.map((name) => ({ type: 'match', name }));
  const hasOwnTarget = rule.steps.some((step) => 'act' in step || ('xt' in step && step.xt.type === 'target'));
  if (target && !hasOwnTarget) names.push({ type: 'target', name: target.name });
  return names.length === count ? names : [];
}

/** The steps that the saved rule has for the expression, or undefined where it does not name it. */
function resolve({ type, name }: XtExpression, { matches, target }: SavedRule): Step[] | undefined {
  if (name === undefined) return undefined;
  if (type === 'match') {
    const same = matches.filter(({ module }) => kernelName(module) === kernelName(name));
    return same.length > 0 ? same.flatMap(({ steps }) => steps) : undefined;
  }
  return type === 'target' && target && kernelName(target.name) === kernelName(name)
    ? [{ act: target.act }]
    : undefined;
}

/** What the name alone tells of an expression that is not resolved. */
function stepsByName(xt: XtExpression): Step[] {
  if (xt.type === 'match' && xt.name === 'comment') return [];
  const act = xt.type === 'target' && xt.name !== undefined ? actionByName(xt.name) : undefined;
  return [act ? { act } : { xt }];
}

/** Names that iptables-save prints for an extension that the kernel knows by another. */
const ALIASES: Record<string, string> = { state: 'conntrack', NOTRACK: 'CT' };

function kernelName(name: string): string {
  return ALIASES[name] ?? name;
}
