// The next step of certificate rotation. Pure: facts in, one step out.
//
// A CA is replaced in three steps, so that a client never meets a certificate that it does not trust. Any replica may
// take each step:
//   announce  the next CA is made and put into the bundle; the present one goes on signing
//   switch    once the bundle in the cluster has held the next one for a while, it signs the serving certificate
//   retire    once every replica has served the new certificate for a while, the old CA leaves the bundle

import { makeCa, makeServing } from './make-certificates.ts';
import { expiryTime, renewalTime } from './read-certificates.ts';
import type { TlsState } from './tls-secret.ts';

export interface Facts {
  /** Contents of the Secret; undefined where there is none, or it cannot be served from. */
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
 * begin: nothing can be kept, everything is made anew. restore: the served certificate is kept and its CA replaced.
 * announce, switch, retire: see above. renew: a new serving certificate. wait: nothing to be done.
 */
export type RotationStep = 'begin' | 'restore' | 'announce' | 'switch' | 'retire' | 'renew' | 'wait';

/** API servers learn of a new bundle by a watch, within milliseconds; this is for one that lags. */
export const SETTLE_MS = 5000;

/** The next step. One at a time: all replicas see each step before the next. */
export function nextStep({ state, last, now, bundleHeldMs, servedByAllMs }: Facts): RotationStep {
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

// Carries a step out: from the present contents of the Secret to the next ones.

export interface CertificateLifetimes {
  /** Milliseconds. */
  ca: number;
  /** Milliseconds. */
  serving: number;
}

/**
 * @param state what the Secret holds, or what was last served where it holds nothing; ignored by `begin`
 * @returns what the Secret is to hold; undefined where nothing is to be done
 */
export async function takeStep(
  step: RotationStep,
  state: TlsState | undefined,
  now: Date,
  lifetimes: CertificateLifetimes,
) {
  if (step === 'wait') return undefined;
  if (step === 'begin' || state === undefined) return begin(state, now, lifetimes);
  const { ca, next, serving, bundle } = state;
  switch (step) {
    case 'restore':
    case 'announce': {
      const coming = await makeCa(now, lifetimes.ca);
      return { ca, serving, next: coming, bundle: coming.cert + ca.cert };
    }
    case 'switch':
      if (next === undefined) return undefined;
      return { ca: next, serving: await makeServing(next, now, lifetimes.serving), bundle: next.cert + ca.cert };
    case 'retire':
      return { ca, serving, bundle: ca.cert };
    case 'renew':
      return { ...state, serving: await makeServing(ca, now, lifetimes.serving), bundle };
  }
}

/** The old CA stays in the bundle, for a replica that still serves the old certificate. */
async function begin(state: TlsState | undefined, now: Date, lifetimes: CertificateLifetimes): Promise<TlsState> {
  const ca = await makeCa(now, lifetimes.ca);
  const serving = await makeServing(ca, now, lifetimes.serving);
  return { ca, serving, bundle: ca.cert + (state?.ca.cert ?? '') };
}
