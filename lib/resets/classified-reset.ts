// A reset with its sender and its cause.
import type { NodeNamespace } from './node-namespaces.ts';
import { KINDS, type ResetKind, resetKindOf } from './reset-kind.ts';
import { originOf, type ResetOrigin } from './reset-origin.ts';
import type { Reset } from './trace-line.ts';

export interface ClassifiedReset {
  reset: Reset;
  kind: ResetKind;
  origin: ResetOrigin;
}

export interface AttributedReset extends ClassifiedReset {
  /** The namespace that it counts for: the candidate that had an INVALID packet, or the first. */
  sender: NodeNamespace | undefined;
}

/** What a reset is judged by. */
export interface ResetEvidence {
  /** The namespaces with their counters. */
  namespaces(): NodeNamespace[];
  /** Whether these are all namespaces of the node. */
  seesAll: boolean;
  /** Id of the namespace of the process that sent the reset; undefined where that is not known. */
  processNamespace(reset: Reset): string | undefined;
  /** Attributes one INVALID packet of the namespace to a reset, so that it explains no other one. */
  useInvalidPacket(id: string): void;
}

/** Finds the sender and the cause of a reset. */
export function classifyReset(reset: Reset, evidence: ResetEvidence): AttributedReset {
  const owner = reset.active ? evidence.processNamespace(reset) : undefined;
  const origin = originOf(reset, evidence.namespaces(), owner, evidence.seesAll);
  const kind = resetKindOf(reset, origin.candidates);
  const { candidates } = origin;
  const suspect = KINDS[kind].bug ? candidates.find(({ invalidGrew }) => (invalidGrew ?? 0) > 0) : undefined;
  if (suspect) evidence.useInvalidPacket(suspect.id);
  return { reset, kind, origin, sender: suspect ?? candidates[0] };
}
