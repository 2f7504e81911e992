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
