// What each phase of the demo must show.

export type Phase = 'no rule' | 'with the rule' | 'rule removed by hand';

/** What a phase showed. */
export interface Outcome {
  phase: Phase;
  uploads: number;
  /** Uploads that a reset ended, and those that passed: one that fails in another way is neither. */
  resets: number;
  passed: number;
  /** Segments that were pushed out of the window, and packets that the rule dropped. */
  strays: number;
  dropped: number;
  /** Whether the init container and the checker said and did what they must in this phase. */
  proven: boolean;
}

/** Uploads prove nothing where no segment was pushed out of the window. */
export function isAsExpected({ phase, uploads, resets, passed, strays, dropped, proven }: Outcome): boolean {
  if (strays === 0 || !proven) return false;
  return phase === 'no rule' ? resets === uploads : passed === uploads && dropped > 0;
}
