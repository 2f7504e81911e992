// What is to be done about the certificates now. Pure: facts in, one step out.
//
// An authority is replaced in three steps, each of which any replica may take, so that at no moment a client meets a
// certificate that it does not trust:
//   announce  the next authority is made and put into the bundle; the present one goes on signing
//   switch    once the bundle in the cluster has held the next one for a while, it signs the serving certificate
//   retire    once every replica has served the new certificate for a while, the old authority leaves the bundle
import { expiryTime, renewalTime } from './read-certificates.ts';
import type { TlsState } from './tls-secret.ts';

export interface Facts {
  /** What the Secret holds; undefined where there is none, or nothing that can be served from. */
  state: TlsState | undefined;
  /** What was last served, where the Secret is gone. */
  last: TlsState | undefined;
  /** Milliseconds since 1970, by the wall clock. */
  now: number;
  /** For how long the webhook configuration has held exactly the Secret's bundle, in milliseconds; 0: it does not. */
  bundleHeldMs: number;
  /** For how long all replicas have served the present serving certificate, in milliseconds; 0: not all do. */
  servedByAllMs: number;
}

/**
 * begin: nothing can be kept, all is made anew. restore: what was served is kept and its authority replaced.
 * announce, switch, retire: see above. renew: a new serving certificate. wait: nothing to be done.
 */
export type Step = 'begin' | 'restore' | 'announce' | 'switch' | 'retire' | 'renew' | 'wait';

/** API servers learn of a new bundle by a watch, within milliseconds; this is for one that lags. */
export const SETTLE_MS = 5000;

/** The next step; one at a time, for each is seen by all replicas before the next. */
export function nextStep({ state, last, now, bundleHeldMs, servedByAllMs }: Facts): Step {
  if (state === undefined) return last !== undefined && isAlive(last, now) ? 'restore' : 'begin';
  if (expiryTime(state.ca.cert) <= now) return 'begin';
  if (state.next !== undefined) return bundleHeldMs >= SETTLE_MS ? 'switch' : 'wait';
  if (renewalTime(state.ca.cert) <= now) return 'announce';
  if (renewalTime(state.serving.cert) <= now) return 'renew';
  if (state.bundle !== state.ca.cert) return servedByAllMs >= SETTLE_MS ? 'retire' : 'wait';
  return 'wait';
}

function isAlive({ ca, serving }: TlsState, now: number): boolean {
  return expiryTime(ca.cert) > now && expiryTime(serving.cert) > now;
}
