// Certificates with lifetimes of their own, for tests that move the clock.
import { makeCa, makeServing } from '../../../webhook/certificates/make-certificates.ts';
import type { TlsState } from '../../../webhook/certificates/tls-secret.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** Long enough that the hour by which certificates begin earlier does not count. */
export const LIVES = { ca: 3000 * HOUR, serving: 300 * HOUR };
export const START = Date.parse('2030-01-01T00:00:00Z');

/** A Secret's content as one replica made it at START. */
export async function freshState(lifetimes = LIVES, now = new Date(START)): Promise<TlsState> {
  const ca = await makeCa(now, lifetimes.ca);
  return { ca, serving: await makeServing(ca, now, lifetimes.serving), bundle: ca.cert };
}
