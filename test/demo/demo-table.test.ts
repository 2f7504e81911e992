import t from 'tap';
import { type DemoOutcome, isAsExpected } from '../../demo/demo-table.ts';

const RESET: DemoOutcome = {
  phase: 'no rule',
  uploads: 3,
  resets: 3,
  passed: 0,
  strays: 3,
  dropped: 0,
  proven: true,
};
const FINE: DemoOutcome = {
  phase: 'whole cure',
  uploads: 6,
  resets: 0,
  passed: 6,
  strays: 59,
  dropped: 59,
  proven: true,
};

t.test('every unguarded upload must be reset, and every guarded one pass', async (t) => {
  t.equal(isAsExpected(RESET), true);
  t.equal(isAsExpected({ ...RESET, resets: 2, passed: 1 }), false);
  for (const phase of ['whole cure', 'rule removed by hand'] as const) {
    t.equal(isAsExpected({ ...FINE, phase }), true);
    t.equal(isAsExpected({ ...FINE, phase, resets: 1, passed: 5 }), false);
  }
});

t.test('an upload that fails in another way than by a reset is never as expected', async (t) => {
  t.equal(isAsExpected({ ...RESET, resets: 2 }), false);
  t.equal(isAsExpected({ ...FINE, passed: 5 }), false);
});

t.test('uploads without stray segments, or with none dropped, prove nothing', async (t) => {
  t.equal(isAsExpected({ ...RESET, strays: 0 }), false);
  t.equal(isAsExpected({ ...FINE, strays: 0 }), false);
  t.equal(isAsExpected({ ...FINE, dropped: 0 }), false);
});

t.test('a checker that did not see, tell and repair the loss is not as expected, whatever the uploads', async (t) => {
  t.equal(isAsExpected({ ...FINE, phase: 'rule removed by hand', proven: false }), false);
});
