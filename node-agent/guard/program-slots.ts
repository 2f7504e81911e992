// How many programs run at the same time: each takes memory and CPU of the agent, whatever the number of pods.

export class ProgramSlots {
  private free: number;
  private readonly urgent: (() => void)[] = [];
  private readonly others: (() => void)[] = [];

  /** @param count of programs that may run at the same time */
  constructor(count: number) {
    this.free = count;
  }

  /**
   * Runs it once there is a slot.
   * @param urgent before all that is not: a new pod waits for it
   */
  async run<T>(urgent: boolean, program: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => (urgent ? this.urgent : this.others).push(resolve));
    try {
      return await program();
    } finally {
      // The slot goes to the next one.
      const next = this.urgent.shift() ?? this.others.shift();
      if (next) next();
      else this.free++;
    }
  }
}
