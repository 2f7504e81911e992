// What is sent over a connection: requests and answers of known sizes. All bytes of a connection are the number of its
// script: the server learns the sizes from the first byte, and a stray segment that a receiver keeps, because its new
// place is within the window, brings no wrong byte.

/** Bytes of a request and of its answer. */
export type Exchange = readonly [request: number, answer: number];

/** The exchanges of one connection in order. `changed` is the one of which a segment is changed. */
export interface ExchangeScript {
  warmUp: Exchange[];
  changed: Exchange;
  after: Exchange[];
}

/** More than the first window of a connection, 64 KiB. */
const LARGE = 100_000;
const SMALL_WARM_UPS: Exchange[][] = [
  [],
  [[300, 700]],
  [
    [20, 20],
    [1000, 10],
    [5, 900],
  ],
];
/** Receivers widen their windows meanwhile. */
const LARGE_WARM_UPS: Exchange[][] = [[[LARGE, 100]], [[100, LARGE]]];
/** Both fit in one segment. */
const CHANGED: Exchange[] = [
  [1, 1],
  [250, 900],
  [1200, 1200],
];
const AFTER: Exchange[][] = [
  // Few bytes one way, and many the other.
  [
    [LARGE, 50],
    [100, 100],
    [LARGE, 10],
  ],
  [
    [50, LARGE],
    [30, 800],
    [10, LARGE],
  ],
  [
    [200, 200],
    [LARGE, 50],
    [100, 100],
    [50, LARGE],
    [10, 10],
  ],
  [
    [LARGE, LARGE],
    [400, 600],
  ],
  [
    [50, LARGE],
    [30, 800],
    [LARGE, 20],
    [600, 5],
  ],
];

const scriptsAfter = (warmUps: Exchange[][]): ExchangeScript[] =>
  warmUps.flatMap((warmUp) => CHANGED.flatMap((changed) => AFTER.map((after) => ({ warmUp, changed, after }))));

const narrow = scriptsAfter(SMALL_WARM_UPS);
/** How many of the scripts, from the first, leave both windows as wide as at first. */
export const NARROW = narrow.length;
/** A connection's script is one of these, by its index: a byte. */
export const SCRIPTS: ExchangeScript[] = [...narrow, ...scriptsAfter(LARGE_WARM_UPS)];

/** All exchanges of a script in order. */
export function exchangesOf({ warmUp, changed, after }: ExchangeScript): Exchange[] {
  return [...warmUp, changed, ...after];
}

/** Bytes of the exchanges, both ways. */
export function bytesOf(exchanges: Exchange[]): { sent: number; received: number } {
  const sum = (side: 0 | 1) => exchanges.reduce((bytes, exchange) => bytes + exchange[side], 0);
  return { sent: sum(0), received: sum(1) };
}
