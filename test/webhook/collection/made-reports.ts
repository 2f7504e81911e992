// A checker's report, as far as the webhook reads it.

export function reportText(change: object = {}): string {
  const peer = { peer: '10.1.4.7', port: 9000, segments: 71, rescued: 14, lastSeen: '2030-01-15T11:24:29.000Z' };
  return JSON.stringify({
    guarded: true,
    prevented: { ipv4: { packets: 50, bytes: 3000 }, ipv6: { packets: 9, bytes: 540 } },
    strays: { rescue: 'enabled', segments: 71, rescued: 14, failed: 0, persistent: 0, peers: [peer] },
    drift: 2,
    ...change,
  });
}
