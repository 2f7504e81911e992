// Reads certificates: identity, expiry and issuer.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { SKEW_MS } from './make-certificates.ts';

/** All certificates of a PEM text, in order; none where it is no PEM or one of them cannot be read. */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return [];
  }
}

/** True where the private key belongs to the first certificate. Both are PEM. */
export function isPair(cert: string, key: string): boolean {
  const [leaf] = certificatesIn(cert);
  try {
    return leaf?.checkPrivateKey(createPrivateKey(key)) ?? false;
  } catch {
    return false;
  }
}

/** True where the chain's first certificate is signed, directly or through the others, by one of the bundle's. */
export function isTrusted(chain: string, bundle: string): boolean {
  const cas = certificatesIn(bundle);
  const [leaf, ...between] = certificatesIn(chain);
  let current = leaf;
  for (let step = 0; current !== undefined && step <= between.length; step++) {
    const child = current;
    if (cas.some((ca) => isSignedBy(child, ca))) return true;
    current = between.find((one) => one !== child && isSignedBy(child, one));
  }
  return false;
}

function isSignedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  return certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

/** SHA-256 of the first certificate, as hexadecimal pairs with colons; '' where there is none. */
export function fingerprint(cert: string): string {
  return certificatesIn(cert)[0]?.fingerprint256 ?? '';
}

/**
 * When two thirds of a certificate's lifetime are over: then it is renewed. The hour before its issue, in which it is
 * valid already, does not count: otherwise a certificate with a lifetime under half an hour would always be due.
 * @returns milliseconds since 1970; 0 where it cannot be read
 */
export function renewalTime(cert: string): number {
  const [leaf] = certificatesIn(cert);
  if (leaf === undefined) return 0;
  const [from, to] = [leaf.validFromDate.getTime() + SKEW_MS, leaf.validToDate.getTime()];
  return from + ((to - from) * 2) / 3;
}

/** Milliseconds since 1970; 0 where it cannot be read. */
export function expiryTime(cert: string): number {
  return certificatesIn(cert)[0]?.validToDate.getTime() ?? 0;
}

/** Milliseconds since 1970; 0 where it cannot be read. */
export function issueTime(cert: string): number {
  return certificatesIn(cert)[0]?.validFromDate.getTime() ?? 0;
}

/** What a person is told of a certificate. Times are milliseconds since 1970. */
export interface CertificateDescription {
  subject: string;
  issuer: string;
  from: number;
  until: number;
  /** When two thirds of its lifetime are over. */
  renewal: number;
  fingerprint: string;
}

/** @param pem only its first certificate counts @returns undefined where it cannot be read */
export function describeCertificate(pem: string): CertificateDescription | undefined {
  const [leaf] = certificatesIn(pem);
  if (leaf === undefined) return undefined;
  const names = leaf.subjectAltName?.replaceAll('DNS:', '') ?? '';
  return {
    subject: names === '' ? leaf.subject : names,
    issuer: leaf.issuer,
    from: leaf.validFromDate.getTime(),
    until: leaf.validToDate.getTime(),
    renewal: renewalTime(leaf.toString()),
    fingerprint: leaf.fingerprint256,
  };
}
