import t from 'tap';
import { isTrusted } from '../../../webhook/certificates/read-certificates.ts';
import {
  type Facts,
  nextStep,
  type RotationStep,
  SETTLE_MS,
  takeStep,
} from '../../../webhook/certificates/rotation-plan.ts';
import type { TlsState } from '../../../webhook/certificates/tls-secret.ts';
import { freshState, HOUR, LIVES, START } from './states.ts';

const fresh = await freshState();
const facts = (change: Partial<Facts>): Facts => ({
  state: fresh,
  last: undefined,
  now: START,
  bundleHeldMs: 0,
  servedByAllMs: 0,
  ...change,
});
const take = async (step: RotationStep, state: TlsState | undefined, now = START): Promise<TlsState> => {
  const taken = await takeStep(step, state, new Date(now), LIVES);
  if (taken === undefined) throw new Error(`${step} led to nothing`);
  return taken;
};

t.test('nothing is done to certificates that are young', async (t) => {
  t.equal(nextStep(facts({})), 'wait');
  t.equal(nextStep(facts({ now: START + LIVES.serving * 0.66 })), 'wait');
  t.equal(await takeStep('wait', fresh, new Date(START), LIVES), undefined);
});

t.test(
  'the serving certificate is renewed at two thirds of its life, the authority replaced at two thirds of its own',
  async (t) => {
    t.equal(nextStep(facts({ now: START + LIVES.serving * 0.67 })), 'renew');
    t.equal(nextStep(facts({ now: START + LIVES.ca * 0.67 })), 'announce');
  },
);

t.test('a certificate that lives for a minute is not due before 40 seconds are over', async (t) => {
  const short = await freshState({ ca: HOUR, serving: 60_000 });
  t.equal(nextStep(facts({ state: short, now: START + 39_000 })), 'wait');
  t.equal(nextStep(facts({ state: short, now: START + 41_000 })), 'renew');
});

t.test('no Secret: all is made anew, or what was served is kept while its authority is replaced', async (t) => {
  t.equal(nextStep(facts({ state: undefined })), 'begin');
  t.equal(nextStep(facts({ state: undefined, last: fresh })), 'restore');
  t.equal(
    nextStep(facts({ state: undefined, last: fresh, now: START + LIVES.serving })),
    'begin',
    'not what has ended',
  );
  const restored = await take('restore', fresh);
  t.equal(restored.serving.cert, fresh.serving.cert);
  t.not(restored.next, undefined);
});

t.test('past the end of the authority all is made anew at once, with the old one still in the bundle', async (t) => {
  const now = START + LIVES.ca;
  t.equal(nextStep(facts({ now })), 'begin');
  const begun = await take('begin', fresh, now);
  t.ok(isTrusted(begun.serving.cert, begun.bundle));
  t.ok(begun.bundle.endsWith(fresh.ca.cert));
});

t.test('an authority follows another without a moment in which a client meets what it does not trust', async (t) => {
  const now = START + LIVES.ca * 0.67;
  const announced = await take('announce', fresh, now);
  t.equal(announced.serving, fresh.serving, 'the old one signs on');
  t.equal(nextStep(facts({ state: announced, now, bundleHeldMs: SETTLE_MS - 1 })), 'wait', 'API servers learn first');
  t.equal(nextStep(facts({ state: announced, now, bundleHeldMs: SETTLE_MS })), 'switch');

  const switched = await take('switch', announced, now);
  t.equal(switched.next, undefined);
  t.ok(isTrusted(switched.serving.cert, announced.bundle), 'trusted by the bundle that was announced');
  t.ok(isTrusted(fresh.serving.cert, switched.bundle), 'a replica that has not switched yet is trusted too');
  t.equal(nextStep(facts({ state: switched, now, servedByAllMs: SETTLE_MS - 1 })), 'wait', 'replicas switch first');
  t.equal(nextStep(facts({ state: switched, now, servedByAllMs: SETTLE_MS })), 'retire');

  const retired = await take('retire', switched, now);
  t.ok(isTrusted(switched.serving.cert, retired.bundle));
  t.notOk(isTrusted(fresh.serving.cert, retired.bundle));
  t.equal(nextStep(facts({ state: retired, now })), 'wait');
});

t.test('each serving certificate of a renewal has a key of its own and the same authority', async (t) => {
  const renewed = await take('renew', fresh, START + HOUR);
  t.not(renewed.serving.key, fresh.serving.key);
  t.ok(isTrusted(renewed.serving.cert, fresh.bundle));
});
