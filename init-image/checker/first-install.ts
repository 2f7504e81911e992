// The first install of the container that stays, in mode enforce: where it does not guard the pod, the container ends, and the
// kubelet lets it wait for up to five minutes before it starts it again. What may be over in seconds is waited for here.
import { describeError } from '../../lib/errors.ts';
import { OWNER } from '../../lib/netfilter/drop-rule.ts';
import type { InstallResult } from '../../lib/netfilter/installer.ts';
import { FAMILIES } from '../../lib/netfilter/packet.ts';

/** Milliseconds for which it is tried again, and between two tries. The hook waits longer. */
const [PATIENCE, GAP] = [20_000, 3000];
/** Of errors that may not come again: the node is overloaded, or another program writes rules. */
const PASSING = new Set(['COMMAND_TIMEOUT', 'COMMAND_KILLED', 'RULESET_UNSTEADY', 'UNEXPECTED']);

type Failure = { code: string; message: string };

/** What it needs from outside; tests give their own. */
export interface FirstInstall {
  put(): Promise<InstallResult>;
  /** Called after the first try and the last. */
  report(done: InstallResult | Failure): void;
  /** @param milliseconds until it returns */
  pause(milliseconds: number): Promise<unknown>;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

/** @returns undefined where the pod is not guarded, and waiting longer does not help */
export async function installFirst({ put, report, pause, now }: FirstInstall): Promise<InstallResult | undefined> {
  const start = now();
  for (let tries = 1; ; tries++) {
    const done = await put().catch(describeError);
    const guarded = 'guarded' in done && done.guarded;
    const isLast = guarded || now() - start >= PATIENCE || !mayPass(done);
    if (tries === 1 || isLast) report(done);
    if (isLast) return guarded ? done : undefined;
    await pause(GAP);
  }
}

/**
 * Whether it may succeed later: after errors of some kinds, and where something of ours was there before. Then the application may
 * run already, and to end would be worse than to wait.
 */
function mayPass(done: InstallResult | Failure): boolean {
  if ('code' in done) return PASSING.has(done.code);
  const { families, exemption } = done;
  const left = FAMILIES.map((family) => families[family]);
  return exemption.action === 'left' || left.some((one) => one.action === 'left' && one.owner === OWNER);
}
