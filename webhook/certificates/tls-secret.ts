// The Secret that all replicas share: what is in it, and whether it can be served from. Pure.
import { isObject, type JsonObject, shortText } from '../../lib/json.ts';
import type { KeyPair } from './make-certificates.ts';
import { certificatesIn, isPair, isTrusted } from './read-certificates.ts';

export const SECRET = 'invalid-drop-webhook-tls';

/** All PEM. */
export interface TlsState {
  /** Signs serving certificates. */
  ca: KeyPair;
  /** The next CA, from its announcement until it signs. */
  next?: KeyPair;
  serving: KeyPair;
  /** CAs that clients trust: the present one, and during a rotation the one before or after it. */
  bundle: string;
}

/** The Secret's `data`, base64 as the API has it. */
export function secretData({ ca, next, serving, bundle }: TlsState): Record<string, string> {
  const texts = {
    'ca.crt': ca.cert,
    'ca.key': ca.key,
    'tls.crt': serving.cert,
    'tls.key': serving.key,
    'ca-bundle.crt': bundle,
    ...(next && { 'next-ca.crt': next.cert, 'next-ca.key': next.key }),
  };
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')]));
}

/** @returns undefined where a part is missing, is no PEM, or does not belong to the others */
export function readSecret(secret: JsonObject | undefined): TlsState | undefined {
  const data = secret?.['data'];
  if (!isObject(data)) return undefined;
  const text = (name: string) => Buffer.from(shortText(data[name], 100_000), 'base64').toString();
  const pair = (name: string): KeyPair => ({ cert: text(`${name}.crt`), key: text(`${name}.key`) });
  const state: TlsState = { ca: pair('ca'), serving: pair('tls'), bundle: text('ca-bundle.crt') };
  const pairs = [state.ca, state.serving];
  if (data['next-ca.crt'] !== undefined) {
    state.next = pair('next-ca');
    pairs.push(state.next);
  }
  const whole =
    pairs.every(({ cert, key }) => isPair(cert, key)) &&
    isTrusted(state.serving.cert, state.bundle) &&
    pairs.every((one) => one === state.serving || contains(state.bundle, one.cert));
  return whole ? state : undefined;
}

/** True where the bundle holds the certificate. Both are PEM. */
export function contains(bundle: string, cert: string): boolean {
  const [wanted] = certificatesIn(cert);
  return wanted !== undefined && certificatesIn(bundle).some((one) => one.raw.equals(wanted.raw));
}
