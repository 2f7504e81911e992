// A certificate authority and a serving certificate, made in memory.
import { randomBytes } from 'node:crypto';
import forge from 'node-forge';

const { pki } = forge;

const SERVICE = 'invalid-drop-webhook';
const NAMESPACE = 'invalid-drop-system';
/** By which the webhook can be reached: on this machine, and as a Service. */
export const SERVING_NAMES = [
  'localhost',
  SERVICE,
  `${SERVICE}.${NAMESPACE}`,
  `${SERVICE}.${NAMESPACE}.svc`,
  `${SERVICE}.${NAMESPACE}.svc.cluster.local`,
];
const SERVING_ADDRESSES = ['127.0.0.1', '::1'];

const DAY_MS = 86_400_000;
/** Clocks differ: a certificate that begins now is "not yet valid" to a client that is a minute behind. */
const SKEW_MS = 3_600_000;
const LIFE_DAYS = 365;
const RSA_BITS = 2048;
const DNS_NAME = 2;
const IP_ADDRESS = 7;

export interface ServingCertificate {
  /** PEM. */
  key: string;
  /** PEM. */
  cert: string;
  /** PEM of the authority that signed it. Its key is gone: it signs nothing else. */
  ca: string;
  notAfter: Date;
}

type Extensions = Parameters<forge.pki.Certificate['setExtensions']>[0];
interface Party {
  name: string;
  keys: forge.pki.rsa.KeyPair;
}

/**
 * Makes a new authority and a serving certificate for the webhook's names and loopback addresses.
 * @param now begin of their life, which is a year
 */
export async function makeCertificate(now: Date): Promise<ServingCertificate> {
  const [caKeys, keys] = await Promise.all([makeKeys(), makeKeys()]);
  const authority = { name: 'invalid-drop CA', keys: caKeys };
  const ca = issue(authority, authority, now, [
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  const cert = issue({ name: SERVICE, keys }, authority, now, [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    { name: 'subjectAltName', altNames: alternativeNames() },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: ca.generateSubjectKeyIdentifier().getBytes() },
  ]);
  const key = pki.privateKeyToPem(keys.privateKey);
  return { key, cert: pki.certificateToPem(cert), ca: pki.certificateToPem(ca), notAfter: cert.validity.notAfter };
}

function issue(subject: Party, issuer: Party, now: Date, extensions: Extensions): forge.pki.Certificate {
  const certificate = pki.createCertificate();
  certificate.publicKey = subject.keys.publicKey;
  // RFC 5280, 4.1.2.2: positive, and not more than 20 bytes.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(now.getTime() - SKEW_MS);
  certificate.validity.notAfter = new Date(now.getTime() + LIFE_DAYS * DAY_MS);
  certificate.setSubject([{ name: 'commonName', value: subject.name }]);
  certificate.setIssuer([{ name: 'commonName', value: issuer.name }]);
  certificate.setExtensions(extensions);
  certificate.sign(issuer.keys.privateKey, forge.md.sha256.create());
  return certificate;
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
