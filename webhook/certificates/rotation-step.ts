// Carries a step out on data: from what the Secret holds to what it is to hold.
import { makeAuthority, makeServing } from './make-certificates.ts';
import type { Step } from './rotation-plan.ts';
import type { TlsState } from './tls-secret.ts';

export interface Lives {
  /** Milliseconds. */
  authority: number;
  /** Milliseconds. */
  serving: number;
}

/**
 * @param state what the Secret holds, or what was last served where it holds nothing; ignored by `begin`
 * @returns what the Secret is to hold; undefined where nothing is to be done
 */
export async function takeStep(step: Step, state: TlsState | undefined, now: Date, lives: Lives) {
  if (step === 'wait') return undefined;
  if (step === 'begin' || state === undefined) return begin(state, now, lives);
  const { ca, next, serving, bundle } = state;
  switch (step) {
    case 'restore':
    case 'announce': {
      const coming = await makeAuthority(now, lives.authority);
      return { ca, serving, next: coming, bundle: coming.cert + ca.cert };
    }
    case 'switch':
      if (next === undefined) return undefined;
      return { ca: next, serving: await makeServing(next, now, lives.serving), bundle: next.cert + ca.cert };
    case 'retire':
      return { ca, serving, bundle: ca.cert };
    case 'renew':
      return { ...state, serving: await makeServing(ca, now, lives.serving), bundle };
  }
}

/** The old bundle is kept beside, for a replica that has not heard yet. */
async function begin(state: TlsState | undefined, now: Date, lives: Lives): Promise<TlsState> {
  const ca = await makeAuthority(now, lives.authority);
  const serving = await makeServing(ca, now, lives.serving);
  return { ca, serving, bundle: ca.cert + (state?.ca.cert ?? '') };
}
