// Large reviews again and again: `large-reviews.ts PORT COUNT LABELS`. COUNT are under way at a time, each with a pod of so
// many labels; it prints a line once the first is answered, and runs until it is stopped.
import { request } from 'node:https';

const [port, count, labels] = process.argv.slice(2).map(Number);
const metadata = {
  name: 'large',
  labels: Object.fromEntries(Array.from({ length: labels ?? 0 }, (_, index) => [`label-${index}`, ''])),
};
const body = Buffer.from(
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      operation: 'CREATE',
      object: { metadata, spec: { containers: [{ name: 'app' }] } },
    },
  }),
);
const headers = { 'content-type': 'application/json', 'content-length': body.length };
let said = false;

function send(): void {
  // Who the server is is not what is measured.
  const target = { host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, rejectUnauthorized: false };
  const call = request({ ...target, agent: false }, (response) => {
    if (!said) process.stdout.write('answered\n');
    said = true;
    response.resume().on('end', send);
  });
  call.on('error', () => setTimeout(send, 100));
  call.end(body);
}

for (let index = 0; index < (count ?? 0); index++) send();
