// How much a counter of the kernel has grown lately.

/**
 * Growth counts until the reading after the next: the event that explains it may be read a moment later than the counter,
 * but what was not explained by then belongs to no event that is still to come.
 */
export class RecentGrowth {
  private last: number | null = null;
  private known = false;
  private before = 0;
  private latest = 0;
  /** Events that were read before the counter. */
  private ahead = 0;

  /** @param reading null: the counter cannot be read now */
  take(reading: number | null): void {
    this.known = reading !== null;
    if (reading === null) return;
    this.before = this.latest;
    // What was counted before the first reading is older than the watch.
    this.latest = this.last === null ? 0 : Math.max(0, reading - this.last - this.ahead);
    this.ahead = 0;
    this.last = reading;
  }

  /** Attributes one to an event, so that it explains no other one. */
  use(): void {
    if (this.before > 0) this.before--;
    else if (this.latest > 0) this.latest--;
    else this.ahead++;
  }

  /** What no event is attributed to; null where the counter cannot be read. */
  get left(): number | null {
    return this.known ? this.before + this.latest : null;
  }
}
