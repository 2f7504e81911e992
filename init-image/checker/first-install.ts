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
  /** Called after each try. */
  report(done: InstallResult | Failure): void;
  /** @param milliseconds until it returns */
  pause(milliseconds: number): Promise<unknown>;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

/** @returns undefined where the pod is not guarded, and waiting longer does not help */
export async function installFirst({ put, report, pause, now }: FirstInstall): Promise<InstallResult | undefined> {
  for (const end = now() + PATIENCE; ; await pause(GAP)) {
    const done = await put().catch(describeError);
    report(done);
    if ('guarded' in done && done.guarded) return done;
    if (now() >= end || !('guarded' in done ? wasThere(done) : PASSING.has(done.code))) return undefined;
  }
}

/** Something of ours was: the application may run already, and the checker of before would have stayed. */
function wasThere({ families, exemption }: InstallResult): boolean {
  const left = FAMILIES.map((family) => families[family]);
  return exemption.action === 'left' || left.some((one) => one.action === 'left' && one.owner === OWNER);
}
