import t from 'tap';
import { decide } from '../../webhook/decision.ts';
import { buildPatch, patchInputs } from '../../webhook/patch.ts';
import { rememberPatches } from '../../webhook/patch-texts.ts';
import { pick, randomPod, seeded } from './random-pod.ts';
import { creationOf, SETTINGS } from './settings.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
t.comment(`SEED=${seed}`);

t.test('a remembered patch is the patch, for every pod', async (t) => {
  const random = seeded(seed);
  const settings = { ...SETTINGS, nativeSidecars: pick(random, [true, false]) };
  // The second forgets all the time.
  const all = [rememberPatches(settings), rememberPatches(settings, 3)];
  let count = 0;
  for (let round = 0; round < 1000; round += 1) {
    const decision = decide(creationOf(randomPod(random)), undefined, settings);
    if (decision.result !== 'inject') continue;
    const inputs = patchInputs(decision.pod, decision.plan, settings);
    const plain = buildPatch(inputs, settings);
    for (const encode of all) {
      const decoded = JSON.parse(Buffer.from(encode(inputs), 'base64').toString());
      if (JSON.stringify(decoded) !== JSON.stringify(plain)) t.strictSame(decoded, plain, `round ${round}`);
    }
    count += 1;
  }
  t.ok(count > 100, `${count} patches`);
});
