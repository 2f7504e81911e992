import t from 'tap';
import {
  type ConditionContext,
  type PodFinding,
  wantedCondition,
} from '../../../node-agent/status/wanted-condition.ts';

const present = (status: string, reason: string) => ({ status, reason, message: '', since: 1 });
const TRUE = present('True', 'Guarded');

interface Case {
  name: string;
  finding: PodFinding['state'];
  verified?: boolean;
  context?: Partial<ConditionContext>;
  /** Status and reason; undefined: it stays as it is. */
  wanted: string | undefined;
}

const CASES: Case[] = [
  { name: 'guarded', finding: 'guarded', wanted: 'True Guarded' },
  { name: 'not guarded', finding: 'not-guarded', wanted: 'False NotGuarded' },
  { name: 'cannot tell', finding: 'cannot-tell', wanted: 'Unknown CannotTell' },
  { name: 'starting', finding: 'starting', wanted: 'False Starting' },
  { name: 'no namespace', finding: 'no-namespace', wanted: 'False NoNamespace' },
  { name: 'left alone', finding: 'left', wanted: 'True NotOptedIn' },

  { name: 'liberal', finding: 'liberal', wanted: 'True LiberalConntrack' },
  { name: 'liberal at once', finding: 'liberal', context: { age: 0 }, wanted: 'True LiberalConntrack' },
  { name: 'not liberal, as most are', finding: 'strict', wanted: undefined },
  {
    name: 'liberal no more',
    finding: 'strict',
    context: { present: present('True', 'LiberalConntrack') },
    wanted: 'False StrictConntrack',
  },

  { name: 'starting for a moment', finding: 'starting', context: { age: 0 }, wanted: undefined },
  { name: 'no namespace for a moment', finding: 'no-namespace', context: { age: 0 }, wanted: undefined },
  { name: 'left alone for a moment', finding: 'left', context: { age: 0 }, wanted: undefined },
  { name: 'withdrawn a moment ago', finding: 'left', context: { age: 0, present: TRUE }, wanted: 'True NotOptedIn' },
  { name: 'guarded at once', finding: 'guarded', context: { age: 0 }, wanted: 'True Guarded' },

  { name: 'starting again, guarded before', finding: 'starting', context: { present: TRUE }, wanted: undefined },
  { name: 'not found again, guarded before', finding: 'no-namespace', context: { present: TRUE }, wanted: undefined },
  {
    name: 'not found for more than a minute, guarded before',
    finding: 'no-namespace',
    context: { present: TRUE, age: 60_001 },
    wanted: 'True NoNamespace',
  },
  {
    name: 'starting for more than a minute, guarded before',
    finding: 'starting',
    context: { present: TRUE, age: 60_001 },
    wanted: 'True Starting',
  },
  { name: 'not guarded any more', finding: 'not-guarded', context: { present: TRUE }, wanted: 'False NotGuarded' },
  {
    name: 'cannot tell, verified by an earlier agent',
    finding: 'cannot-tell',
    context: { present: TRUE },
    wanted: 'True CannotTell',
  },
  {
    name: 'cannot tell any more',
    finding: 'cannot-tell',
    verified: true,
    context: { present: TRUE },
    wanted: 'Unknown CannotTell',
  },
  {
    name: 'observe with the gate holds nothing back',
    finding: 'not-guarded',
    context: { mode: 'observe', gate: true },
    wanted: 'True NotGuarded',
  },
  { name: 'observe without it', finding: 'not-guarded', context: { mode: 'observe' }, wanted: 'False NotGuarded' },
];

for (const { name, finding, verified = false, context, wanted } of CASES) {
  t.test(name, async (t) => {
    const whole = { mode: 'enforce', gate: false, present: undefined, wrong: '', age: 60_000, ...context } as const;
    const found = wantedCondition({ state: finding, reason: 'why', verified } as PodFinding, whole);
    t.equal(found && `${found.status} ${found.reason}`, wanted);
  });
}

t.test('messages are one printable line of bounded length', async (t) => {
  const context = { mode: 'enforce', gate: false, present: undefined, wrong: '', age: 60_000 } as const;
  const message = (reason: string, wrong = '') =>
    wantedCondition({ state: 'not-guarded', reason, verified: true }, { ...context, wrong })?.message;
  t.equal(message('rule "a\n\u001b[2Jb" accepts them'), 'rule "a\\n\\u001b[2Jb" accepts them');
  t.equal(message('x'.repeat(100_000))?.length, 512);
  t.equal(message('no rule', 'annotation a="b" is not allowed'), 'no rule; annotation a="b" is not allowed');
});
