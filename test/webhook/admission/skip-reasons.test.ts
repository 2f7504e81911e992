import t from 'tap';
import { SKIP_REASONS, type SkipReason, skipWarning } from '../../../webhook/admission/skip-reasons.ts';

const reasons = Object.keys(SKIP_REASONS) as SkipReason[];

t.test('every warning names its reason and is short enough that no client cuts it off', async (t) => {
  for (const reason of reasons.filter((each) => each !== 'already-injected')) {
    const warning = skipWarning(reason) ?? '';
    t.ok(warning.startsWith(`invalid-drop: not guarded: ${reason}: `), warning);
    t.ok(warning.length < 120, `${reason}: ${warning.length} characters`);
  }
});

t.test('an injected pod causes no warning when it comes again', async (t) => {
  t.equal(skipWarning('already-injected'), undefined);
});
