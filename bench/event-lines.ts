// The checker's log, line by line as it arrives.
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import type { Program } from '../test/harness/netns/processes.ts';

export class EventLines {
  private readonly waiting = new Map<string, (at: number) => void>();

  constructor({ child }: Program) {
    if (!child.stdout) throw new Error('no output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event } = JSON.parse(line) as { event: string };
      this.waiting.get(event)?.(performance.now());
    });
  }

  /**
   * The next line with this event; ask before what causes it.
   * @param limit milliseconds to wait
   * @returns when it arrived, as performance.now() tells it; undefined when the limit has passed
   */
  next(event: string, limit: number): Promise<number | undefined> {
    return new Promise((resolve) => {
      const done = (at?: number) => {
        clearTimeout(timer);
        this.waiting.delete(event);
        resolve(at);
      };
      const timer = setTimeout(done, limit);
      this.waiting.set(event, done);
    });
  }
}
