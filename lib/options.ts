// One description of an option serves its flag, its environment variable, --help and the tables in the docs.
import { parseArgs } from 'node:util';
import { CodedError, errors } from './errors.ts';

export interface Option<T> {
  /** Environment variable; the flag is given by the table's key. */
  env: string;
  /** One sentence for --help and the docs. */
  help: string;
  default: T;
  /** The allowed values, in words. */
  allowed: string;
  /** The same as JSON Schema, for values.schema.json of the Helm chart. It may allow more than `parse`, never less. */
  schema: ValueSchema;
  /** The value, or undefined where the text is not allowed. */
  parse(text: string): T | undefined;
  /** Where the text is not allowed: what to use instead, closer than `allowed`. */
  advice?(text: string): string | undefined;
}

/** Keywords of JSON Schema. A pattern is read by Go as well, so it uses what both languages have. */
export type ValueSchema =
  | { enum: readonly string[] }
  | { type: 'integer'; minimum: number; maximum: number }
  | { type: 'string'; pattern: string }
  | { type: 'array'; items: { type: 'string'; pattern: string }; maxItems: number };

export type OptionTable = Record<string, Option<unknown>>;
export type OptionValues<T extends OptionTable> = { [K in keyof T]: T[K] extends Option<infer V> ? V : never };

type Described<T> = { env: string; help: string; default: T };

/** An option whose value is one of a list of words. */
export function oneOf<const V extends string>(values: readonly V[], described: Described<V>): Option<V> {
  const parse = (text: string) => values.find((value) => value === text);
  return { ...described, allowed: values.join(' or '), schema: { enum: values }, parse };
}

/** An option whose value is a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number, described: Described<number>): Option<number> {
  const parse = (text: string) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  };
  const schema = { type: 'integer', minimum: min, maximum: max } as const;
  return { ...described, allowed: `a whole number from ${min} to ${max}`, schema, parse };
}

/** An option whose value is any text that the pattern allows. */
export function textLike(pattern: RegExp, allowed: string, described: Described<string>): Option<string> {
  const parse = (text: string) => (pattern.test(text) ? text : undefined);
  return { ...described, allowed, schema: { type: 'string', pattern: pattern.source }, parse };
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** An option whose value is a whole number with a unit, such as 90d; read it with durationMs. */
export function duration(described: Described<string>): Option<string> {
  return textLike(/^[1-9]\d{0,5}[smhd]$/, 'a whole number followed by s, m, h or d', described);
}

/** @param text what a `duration` option allows; milliseconds come out */
export function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * (UNITS[text.slice(-1)] ?? Number.NaN);
}

/**
 * Reads options from arguments and environment: flag over environment over default. An empty environment
 * variable counts as not set.
 * @param argv arguments after the program's name; `--name value` or `--name=value`
 * @param switches names of flags that take no value
 * @returns the values, and which switches were given
 * @throws CodedError OPTION_INVALID or OPTION_UNKNOWN; the message names every wrong option, not only the first
 */
export function readOptions<T extends OptionTable, S extends string = never>(
  table: T,
  argv: string[],
  env: Record<string, string | undefined>,
  switches: readonly S[] = [],
): { values: OptionValues<T>; given: Set<S> } {
  const flags = readFlags(Object.keys(table), argv, switches);
  const wrong: CodedError[] = [];
  const entries = Object.entries(table).map(([name, option]) => {
    const [source, text] = flags.has(name)
      ? [`--${name}`, flags.get(name)]
      : [option.env, env[option.env] || undefined];
    if (text === undefined) return [name, option.default];
    const value = option.parse(text);
    if (value === undefined) wrong.push(errors.OPTION_INVALID(source, text, option.advice?.(text) ?? option.allowed));
    return [name, value];
  });
  if (wrong[0]) throw new CodedError(wrong[0].code, wrong.map((error) => error.message).join('; '));
  const given = new Set(switches.filter((name) => flags.has(name)));
  return { values: Object.fromEntries(entries) as OptionValues<T>, given };
}

function readFlags(names: string[], argv: string[], switches: readonly string[]): Map<string, string> {
  const options = Object.fromEntries([
    ...names.map((name) => [name, { type: 'string' as const }]),
    ...switches.map((name) => [name, { type: 'boolean' as const }]),
  ]);
  const { tokens } = parseArgs({ args: argv, options, strict: false, tokens: true });
  const flags = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind !== 'option') throw errors.OPTION_UNKNOWN(token.kind === 'positional' ? token.value : '--');
    if (!(token.name in options)) throw errors.OPTION_UNKNOWN(token.rawName);
    flags.set(token.name, token.value ?? '');
  }
  return flags;
}

/**
 * The options as rows for --help and for the docs, in the table's order.
 * @returns flag, environment variable, default as text, allowed values and meaning
 */
export function optionRows(table: OptionTable) {
  return Object.entries(table).map(([name, option]) => ({
    flag: `--${name}`,
    env: option.env,
    default: String(option.default),
    allowed: option.allowed,
    help: option.help,
  }));
}

/** The text that --help prints: usage line, then one block an option. */
export function helpText(usage: string, table: OptionTable): string {
  const blocks = optionRows(table).map(
    (row) => `  ${row.flag} (${row.env}), default "${row.default}"\n      ${row.help} Allowed: ${row.allowed}.`,
  );
  return `${usage}\n\nOptions (flag over environment over default):\n${blocks.join('\n')}\n`;
}
