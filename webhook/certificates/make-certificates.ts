// Makes CAs and serving certificates.
import { randomBytes } from 'node:crypto';
import forge from 'node-forge';
import { OWN_NAMESPACE, WEBHOOK_SERVICE } from '../../lib/contract.ts';

const { pki } = forge;

/** Names under which clients reach the webhook: on this machine, and as a Service. */
export const SERVING_NAMES = [
  'localhost',
  WEBHOOK_SERVICE,
  `${WEBHOOK_SERVICE}.${OWN_NAMESPACE}`,
  `${WEBHOOK_SERVICE}.${OWN_NAMESPACE}.svc`,
  `${WEBHOOK_SERVICE}.${OWN_NAMESPACE}.svc.cluster.local`,
];
const SERVING_ADDRESSES = ['127.0.0.1', '::1'];

/** Clocks differ: a certificate that begins now is "not yet valid" to a client that is a minute behind. */
export const SKEW_MS = 3_600_000;
const YEAR_MS = 365 * 86_400_000;
const RSA_BITS = 2048;
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** A certificate and its private key, PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

type Extensions = Parameters<forge.pki.Certificate['setExtensions']>[0];
interface Party {
  name: string;
  keys: { publicKey: forge.pki.PublicKey };
}
interface Life {
  notBefore: Date;
  notAfter: Date;
}

/**
 * Makes a CA that signs itself and may sign serving certificates only.
 * @param now the moment its life begins; it is valid from an hour before
 * @param lifeMs milliseconds
 */
export async function makeCa(now: Date, lifeMs: number): Promise<KeyPair> {
  const keys = await makeKeys();
  // A unique name: during a rotation two CAs are in the bundle.
  const party = { name: `invalid-drop CA ${randomBytes(4).toString('hex')}`, keys };
  const cert = issue(party, { name: party.name, key: keys.privateKey }, lifeOf(now, lifeMs), [
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  return { cert: pki.certificateToPem(cert), key: pki.privateKeyToPem(keys.privateKey) };
}

/**
 * Makes a serving certificate for the webhook's names and loopback addresses. It never outlives its CA.
 * @param now the moment its life begins
 * @param lifeMs milliseconds
 */
export async function makeServing(caPair: KeyPair, now: Date, lifeMs: number): Promise<KeyPair> {
  const ca = pki.certificateFromPem(caPair.cert);
  const keys = await makeKeys();
  const life = lifeOf(now, lifeMs);
  if (ca.validity.notAfter < life.notAfter) life.notAfter = ca.validity.notAfter;
  const issuer = { name: commonName(ca), key: pki.privateKeyFromPem(caPair.key) };
  const cert = issue({ name: WEBHOOK_SERVICE, keys }, issuer, life, [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: alternativeNames() },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: ca.generateSubjectKeyIdentifier().getBytes() },
  ]);
  return { cert: pki.certificateToPem(cert), key: pki.privateKeyToPem(keys.privateKey) };
}

/** A serving certificate that is kept in memory only, and the CA that signed it, whose key is discarded. */
export async function makeCertificate(now: Date): Promise<KeyPair & { ca: string }> {
  const ca = await makeCa(now, YEAR_MS);
  return { ...(await makeServing(ca, now, YEAR_MS)), ca: ca.cert };
}

function issue(
  subject: Party,
  issuer: { name: string; key: forge.pki.PrivateKey },
  life: Life,
  extensions: Extensions,
) {
  const certificate = pki.createCertificate();
  certificate.publicKey = subject.keys.publicKey;
  // RFC 5280, 4.1.2.2: positive, and not more than 20 bytes.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = life.notBefore;
  certificate.validity.notAfter = life.notAfter;
  certificate.setSubject([{ name: 'commonName', value: subject.name }]);
  certificate.setIssuer([{ name: 'commonName', value: issuer.name }]);
  certificate.setExtensions(extensions);
  certificate.sign(issuer.key as forge.pki.rsa.PrivateKey, forge.md.sha256.create());
  return certificate;
}

function lifeOf(now: Date, lifeMs: number): Life {
  return { notBefore: new Date(now.getTime() - SKEW_MS), notAfter: new Date(now.getTime() + lifeMs) };
}

function commonName(certificate: forge.pki.Certificate): string {
  return String(certificate.subject.getField('CN').value);
}

function alternativeNames() {
  const names = SERVING_NAMES.map((value) => ({ type: DNS_NAME, value }));
  return [...names, ...SERVING_ADDRESSES.map((ip) => ({ type: IP_ADDRESS, ip }))];
}

/** With a callback forge lets Node generate the keys, off the main thread; without one it may do so in JavaScript. */
function makeKeys(): Promise<forge.pki.rsa.KeyPair> {
  return new Promise((resolve, reject) => {
    pki.rsa.generateKeyPair({ bits: RSA_BITS }, (error, keys) => (error ? reject(error) : resolve(keys)));
  });
}
