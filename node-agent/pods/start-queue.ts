// Runs at most so many tasks at the same time, in the order in which they came.

/**
 * @param limit milliseconds after which a task that goes on no longer counts: it must not keep the others from their turn
 * @returns a function that runs a task when its turn comes, and ends with it
 */
export function atOnce(most: number, limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    let counts = true;
    const end = () => {
      if (!counts) return;
      counts = false;
      // The turn is handed on, so that no task that comes now takes it.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    };
    const timer = setTimeout(end, limit);
    try {
      return await task();
    } finally {
      clearTimeout(timer);
      end();
    }
  };
}
