// Gives back what a long list has left on the heap: V8 would keep it until the heap grows again, which may be never.

/**
 * Collects and compacts the heap at once, for some tens of milliseconds. Does nothing unless Node was started with
 * --expose-gc, as the image does. "last-resort" is V8's name for a collection that lets go of all that it can
 * (Heap::CollectAllAvailableGarbage): a plain one leaves the pages that are half empty.
 */
export function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
