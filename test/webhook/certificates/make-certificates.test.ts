import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import t, { type Test } from 'tap';
import { writeCaFile } from '../../../webhook/certificates/certificate-sources.ts';
import {
  makeCa,
  makeCertificate,
  makeServing,
  SERVING_NAMES,
} from '../../../webhook/certificates/make-certificates.ts';
import { creationOf } from '../admission/injection-settings.ts';
import { reviewOf, testServer } from '../test-server.ts';

const certificate = await makeCertificate(new Date());
const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };

async function listening(t: Test) {
  const { server } = testServer({ tls: certificate });
  t.teardown(() => server.close());
  await server.listen({ host: '127.0.0.1', port: 0, listenTextResolver: () => '' });
  const address = server.server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return address.port;
}

/** Posts a review and gives the parsed answer, or the TLS error's code. */
function postReview(port: number, ca: string | undefined): Promise<{ response?: object; error?: string }> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' };
    const options = { host: '127.0.0.1', port, path: '/mutate', method: 'POST', headers, agent: false as const };
    const call = request({ ...options, ...(ca && { ca }) }, async (response) => {
      resolve(JSON.parse(Buffer.concat(await response.toArray()).toString()));
    });
    call.on('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
    call.end(JSON.stringify(reviewOf(creationOf(POD))));
  });
}

t.test('a client that trusts only the written CA gets a patch, one that does not gets nothing', async (t) => {
  const port = await listening(t);
  const path = await writeCaFile(join(t.testdir({}), 'new', 'folder', 'ca.pem'), certificate.ca);
  const written = readFileSync(path, 'utf8');
  t.match((await postReview(port, written)).response, { allowed: true, patchType: 'JSONPatch' });
  t.equal((await postReview(port, undefined)).error, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  t.notMatch(written, /PRIVATE/);
});

t.test('a client older than TLS 1.2 is refused', async (t) => {
  const port = await listening(t);
  const range = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;
  t.equal(await handshake(port, range), 'refused');
});

t.test('TLS 1.2 has authenticated ciphers with forward secrecy only, TLS 1.3 is there', async (t) => {
  const port = await listening(t);
  const offering = (ciphers: string) => handshake(port, { maxVersion: 'TLSv1.2', ciphers });
  for (const name of ['ECDHE-RSA-AES128-SHA', 'ECDHE-RSA-AES128-SHA256', 'ECDHE-RSA-AES256-SHA384'])
    t.equal(await offering(name), 'refused', name);
  for (const name of ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'])
    t.equal(await offering(name), name);
  t.match(await handshake(port, { minVersion: 'TLSv1.3' }), /^TLS_/);
});

/** The cipher of a connection, or `refused`. */
async function handshake(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', ca: certificate.ca, ...options });
  const outcome = await new Promise<string>((resolve) => {
    socket.on('secureConnect', () => resolve(socket.getCipher().name));
    socket.on('error', () => resolve('refused'));
  });
  socket.destroy();
  return outcome;
}

t.test('the certificate is good for loopback and for every name of the Service, and for nothing else', async (t) => {
  const leaf = new X509Certificate(certificate.cert);
  for (const name of SERVING_NAMES) t.ok(leaf.checkHost(name), name);
  for (const address of ['127.0.0.1', '::1']) t.ok(leaf.checkIP(address), address);
  t.notOk(leaf.checkHost('invalid-drop-webhook.other.svc'));
});

t.test('it is signed by its CA, cannot sign itself, and both live a year from an hour ago', async (t) => {
  const now = new Date('2030-01-01T00:00:00Z');
  const made = await makeCertificate(now);
  const [leaf, ca] = [new X509Certificate(made.cert), new X509Certificate(made.ca)];
  t.ok(leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
  t.strictSame([leaf.ca, ca.ca], [false, true]);
  for (const each of [leaf, ca]) {
    t.equal(each.validFromDate.toISOString(), '2029-12-31T23:00:00.000Z');
    t.equal(each.validToDate.toISOString(), '2031-01-01T00:00:00.000Z');
  }
  t.not(leaf.serialNumber, ca.serialNumber);
  t.not(made.key, certificate.key, 'and every call makes new keys');
});

t.test('a serving certificate does not outlive its authority, and each authority has a name of its own', async (t) => {
  const now = new Date('2030-01-01T00:00:00Z');
  const authority = await makeCa(now, 60_000);
  const leaf = new X509Certificate((await makeServing(authority, now, 3_600_000)).cert);
  t.equal(leaf.validToDate.toISOString(), '2030-01-01T00:01:00.000Z');
  t.not(new X509Certificate((await makeCa(now, 60_000)).cert).subject, new X509Certificate(authority.cert).subject);
});
