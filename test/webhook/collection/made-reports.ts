// What checkers and node agents answer, as far as the webhook reads it.

const PEER = { peer: '10.1.4.7', port: 9000, segments: 71, rescued: 14, lastSeen: '2030-01-15T11:24:29.000Z' };
const FIGURES = {
  prevented: { ipv4: { packets: 50, bytes: 3000 }, ipv6: { packets: 9, bytes: 540 } },
  strays: { rescue: 'enabled', segments: 71, rescued: 14, failed: 0, persistent: 0, peers: [PEER] },
  drift: 2,
};

/** GET /selfcheck of a checker. */
export function reportText(change: object = {}): string {
  return JSON.stringify({ guarded: true, ...FIGURES, ...change });
}

/** Of one pod, in GET /figures of an agent. */
export function podFigures(uid: string, change: object = {}): object {
  return { uid, since: '2030-01-15T11:00:00.000Z', ...FIGURES, ...change };
}
