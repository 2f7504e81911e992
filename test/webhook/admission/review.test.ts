import t from 'tap';
import { allow, allowPatched, deny, responseText } from '../../../webhook/admission/review.ts';

const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

t.test('an answer as text says the same as the answer', async (t) => {
  for (const answer of [
    allow(UID),
    allow(UID, 'a "warning"'),
    deny(UID, 400, 'why\nnot'),
    allowPatched(UID, 'W3sib3AiOiJhZGQi/+9XQ=='),
    allowPatched('a uid with "quotes" and \u2028', ''),
  ]) {
    t.strictSame(JSON.parse(responseText(answer)), answer);
  }
});
