import t from 'tap';
import { decide } from '../../../webhook/admission/decision.ts';
import { buildPatch, type PatchInputs, patchInputs, patchKey } from '../../../webhook/admission/patch.ts';
import { rememberPatches } from '../../../webhook/admission/patch-texts.ts';
import { creationOf, SETTINGS } from './injection-settings.ts';
import { pick, randomPod, seeded } from './random-pod.ts';

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

/** Each member of the inputs with a value that SAMPLE does not have. */
const SAMPLE: PatchInputs = {
  options: { mode: 'enforce', protocol: 'tcp', onDrift: 'repair', checker: 'enabled' },
  addInit: true,
  checker: 'sidecar',
  probe: 'http',
  budgeted: ['a b'],
  initIndex: 0,
  hasAnnotations: true,
  excludePorts: '15099',
};
const OTHERS: { [K in keyof PatchInputs]-?: PatchInputs[K][] } = {
  options: [
    { ...SAMPLE.options, mode: 'observe' },
    { ...SAMPLE.options, protocol: 'all' },
    { ...SAMPLE.options, onDrift: 'report' },
    { ...SAMPLE.options, checker: 'disabled' },
  ],
  addInit: [false],
  checker: ['container', 'none'],
  probe: ['exec'],
  budgeted: [[], ['a', 'b'], ['a'], ['a b', 'a b']],
  initIndex: [undefined, 1],
  hasAnnotations: [false],
  excludePorts: [undefined, '9000,15099'],
};

t.test('inputs that differ in one member have different keys', async (t) => {
  t.strictSame(Object.keys(OTHERS), Object.keys(SAMPLE));
  const changed = Object.entries(OTHERS).flatMap(([name, values]) =>
    values.map((value) => ({ ...SAMPLE, [name]: value })),
  );
  const keys = [SAMPLE, ...changed].map(patchKey);
  t.equal(new Set(keys).size, keys.length, keys.join('\n'));
});
