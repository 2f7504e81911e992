import t from 'tap';
import { installFirst } from '../../../init-image/checker/first-install.ts';
import { errors } from '../../../lib/errors.ts';
import type { FamilyInstall, InstallResult } from '../../../lib/netfilter/installer.ts';

const NEW: FamilyInstall = { action: 'inserted', backend: 'nft', form: 'rule' };
const LEFT: FamilyInstall = { action: 'left', owner: 'invalid-drop' };

function result(guarded: boolean, family: FamilyInstall, exemption: InstallResult['exemption']): InstallResult {
  return { guarded, families: { ipv4: family, ipv6: family }, exemption, warnings: [] } as unknown as InstallResult;
}

const GUARDED = result(true, NEW, { action: 'inserted', form: 'table' });
const FIRST = result(false, NEW, { action: 'inserted', form: 'table' });
const LATER = result(false, NEW, { action: 'left' });

/** Tries that end like these one after the other, the last one for ever; a clock that only pauses move. */
function made(...tries: (InstallResult | Error)[]) {
  const reported: string[] = [];
  let tried = 0;
  let time = 0;
  const dependencies = {
    put: async () => {
      const done = tries[Math.min(tried++, tries.length - 1)];
      if (done instanceof Error || done === undefined) throw done;
      return done;
    },
    report: (done: object) => void reported.push('code' in done ? String(done.code) : 'result'),
    pause: async (milliseconds: number) => {
      time += milliseconds;
    },
    now: () => time,
  };
  return { dependencies, reported, tried: () => tried };
}

t.test('what can pass is tried again, and the first try and the last are reported', async (t) => {
  const { dependencies, reported, tried } = made(errors.COMMAND_TIMEOUT('nft', 1), LATER, new Error('EAGAIN'), GUARDED);
  t.equal(await installFirst(dependencies), GUARDED);
  t.equal(tried(), 4);
  t.same(reported, ['COMMAND_TIMEOUT', 'result']);
});

t.test('a rule of ours that was there before tells that the pod may run already', async (t) => {
  const { dependencies } = made(result(false, LEFT, { action: 'inserted', form: 'rule' }), GUARDED);
  t.equal(await installFirst(dependencies), GUARDED);
  const foreign = made(result(false, { ...LEFT, owner: 'Istio' }, { action: 'inserted', form: 'rule' }), GUARDED);
  t.equal(await installFirst(foreign.dependencies), undefined);
});

t.test('what cannot pass ends it at once', async (t) => {
  for (const done of [FIRST, errors.COMMAND_FAILED('nft', 1, 'Operation not permitted')]) {
    const { dependencies, reported, tried } = made(done, GUARDED);
    t.equal(await installFirst(dependencies), undefined);
    t.equal(tried(), 1);
    t.equal(reported.length, 1);
  }
});

t.test('what does not pass ends it after a while', async (t) => {
  const { dependencies, reported, tried } = made(LATER);
  t.equal(await installFirst(dependencies), undefined);
  t.equal(tried(), 8);
  t.same(reported, ['result', 'result']);
});
