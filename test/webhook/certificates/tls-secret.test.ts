import t from 'tap';
import { takeStep } from '../../../webhook/certificates/rotation-plan.ts';
import { readSecret, secretData } from '../../../webhook/certificates/tls-secret.ts';
import { freshState, LIVES, START } from './states.ts';

const fresh = await freshState();
const other = await freshState();
const announced = await takeStep('announce', fresh, new Date(START), LIVES);

t.test('what is written is read, with a next authority and without', async (t) => {
  t.strictSame(readSecret({ data: secretData(fresh) }), fresh);
  if (announced === undefined) throw new Error('no next authority');
  t.strictSame(readSecret({ data: secretData(announced) }), announced);
});

t.test('what cannot be served from is nothing', async (t) => {
  const whole = secretData(fresh);
  const foreign = secretData(other);
  const broken: Record<string, unknown> = {
    'no data': undefined,
    'a part is missing': { ...whole, 'tls.key': undefined },
    'a part is no text': { ...whole, 'tls.key': 5 },
    'a part is no PEM': { ...whole, 'ca.crt': Buffer.from('hello').toString('base64') },
    'a key of another certificate': { ...whole, 'tls.key': foreign['tls.key'] },
    "another authority's certificate": { ...whole, 'tls.crt': foreign['tls.crt'], 'tls.key': foreign['tls.key'] },
    'a bundle without the authority': { ...whole, 'ca-bundle.crt': foreign['ca-bundle.crt'] },
    'an empty bundle': { ...whole, 'ca-bundle.crt': '' },
  };
  t.equal(readSecret(undefined), undefined);
  for (const [name, data] of Object.entries(broken)) t.equal(readSecret({ data }), undefined, name);
});
