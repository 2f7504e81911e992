import t from 'tap';
import { allow, allowPatched, deny } from '../../../webhook/admission/review.ts';

const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

t.test('each answer is an AdmissionReview with the uid of its request', async (t) => {
  const patch = 'W3sib3AiOiJhZGQi/+9XQ==';
  const CASES: [answer: object, response: object][] = [
    [allow(UID), { uid: UID, allowed: true }],
    [allow(UID, 'a "warning"'), { uid: UID, allowed: true, warnings: ['a "warning"'] }],
    [
      deny(UID, 400, 'why\nnot'),
      { uid: UID, allowed: false, status: { code: 400, reason: 'BadRequest', message: 'why\nnot' } },
    ],
    [allowPatched(UID, patch), { uid: UID, allowed: true, patchType: 'JSONPatch', patch }],
    [
      allowPatched('a uid with "quotes"', ''),
      { uid: 'a uid with "quotes"', allowed: true, patchType: 'JSONPatch', patch: '' },
    ],
  ];
  for (const [answer, response] of CASES) {
    t.strictSame(answer, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
  }
});
