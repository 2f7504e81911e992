// Guests' TAP as one report (TAP 14, testanything.org): the kernel's release stands in each name, tests that were open
// when the guest hung or panicked fail by name, and guests that run at the same time are printed one after the other.

/** Takes the guest's lines one by one. */
export interface Report {
  /** @returns the line as it stands in the report, or none */
  line(text: string): string[];
  /**
   * @param why what ended the guest, and `console` the end of its console: both stand in what fails
   * @returns the last lines of the report
   */
  end(why: string, console: string): string[];
  ok(): boolean;
}

const POINT = /^((?: {4})*)(not )?ok (\d+)(?: - (.*))?$/;
const SUBTEST = /^((?: {4})*)# Subtest: (.*)$/;
const INDENT = 4;

/**
 * @param release of the kernel, as uname -r prints it
 * @param files test files that the guest must run, in their order: each a subtest at the outermost level
 */
export function makeReport(release: string, files: string[]): Report {
  /** Names of the subtests that are open, outermost first, and how many points stand in each level. */
  let open: string[] = [];
  let points = [0];
  let yaml: string | undefined;
  let planned = false;
  let failed = false;

  const nameAt = (depth: number, name: string) => (depth < 2 ? `${release}: ${name}` : name);
  const indented = (depth: number, text: string) => `${' '.repeat(INDENT * depth)}${text}`;

  function point(line: string, [, indent = '', not, , name = '']: RegExpMatchArray): string[] {
    const depth = indent.length / INDENT;
    open = open.slice(0, depth);
    points = [...points.slice(0, depth), (points[depth] ?? 0) + 1];
    if (not && !/ # (TODO|SKIP)/i.test(line)) failed = true;
    return [indented(depth, `${not ?? ''}ok ${points[depth]} - ${nameAt(depth, name)}`)];
  }

  function subtest([, indent = '', name = '']: RegExpMatchArray): string[] {
    const depth = indent.length / INDENT;
    open = [...open.slice(0, depth), name];
    points = [...points.slice(0, depth + 1), 0];
    return [indented(depth, `# Subtest: ${nameAt(depth, name)}`)];
  }

  function fail(depth: number, name: string, diagnostic: string[] = []): string[] {
    failed = true;
    open = open.slice(0, depth);
    points = [...points.slice(0, depth), (points[depth] ?? 0) + 1];
    const block = diagnostic.length > 0 ? ['  ---', ...diagnostic.map((line) => `  ${line}`), '  ...'] : [];
    return [`not ok ${points[depth]} - ${nameAt(depth, name)}`, ...block].map((line) => indented(depth, line));
  }

  return {
    ok: () => !failed,
    line(text) {
      if (yaml !== undefined) {
        if (text === `${yaml}...`) yaml = undefined;
        return [text];
      }
      const block = text.match(/^( +)---$/);
      if (block) yaml = block[1];
      const asPoint = text.match(POINT);
      if (asPoint) return point(text, asPoint);
      const asSubtest = text.match(SUBTEST);
      if (asSubtest) return subtest(asSubtest);
      if (text.startsWith('1..')) planned = true;
      return text.startsWith('TAP version') ? [] : [text];
    },
    end(why, console) {
      if (planned) return [];
      const diagnostic = ['console: |', ...console.split(/\r?\n/).map((line) => `  ${line}`)];
      const lines = yaml === undefined ? [] : [`${yaml}...`];
      if (open.length > 0) lines.push(...fail(open.length, why, diagnostic));
      for (let depth = open.length; depth > 0; depth--) {
        lines.push(indented(depth, `1..${points[depth] ?? 0}`), ...fail(depth - 1, open[depth - 1] ?? ''));
      }
      const missing = files.slice(points[0]);
      for (const file of missing) lines.push(...fail(0, file, [`why: ${JSON.stringify(why)}`, ...diagnostic]));
      if (!failed) lines.push(...fail(0, why, diagnostic));
      return [...lines, `1..${points[0]}`];
    },
  };
}

/** A line of one kernel's report as a line of the whole, where each kernel is a subtest. */
export function inSubtest(line: string): string {
  return line === '' ? '' : `${' '.repeat(INDENT)}${line}`;
}

/**
 * The order of a report whose parts are made at the same time: what a later part says is held back until all parts
 * before it have ended.
 */
export class Turns {
  private current = 0;
  private readonly held = new Map<number, string[]>();
  private readonly done = new Set<number>();
  private readonly print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.print = print;
  }

  /** @param turn the part's place, from 0 */
  say(turn: number, line: string): void {
    if (turn === this.current) this.print(line);
    else this.held.set(turn, [...(this.held.get(turn) ?? []), line]);
  }

  /** The part will say no more. */
  end(turn: number): void {
    this.done.add(turn);
    while (this.done.has(this.current)) {
      this.current++;
      for (const line of this.held.get(this.current) ?? []) this.print(line);
      this.held.delete(this.current);
    }
  }
}

/** Does all of the work in its order, at most `atOnce` at a time. Rejects as soon as one does. */
export async function takeTurns<T>(
  work: readonly T[],
  atOnce: number,
  run: (one: T, turn: number) => Promise<void>,
): Promise<void> {
  const waiting = [...work.entries()];
  async function next(): Promise<void> {
    for (let taken = waiting.shift(); taken; taken = waiting.shift()) await run(taken[1], taken[0]);
  }
  await Promise.all(Array.from({ length: atOnce }, next));
}
