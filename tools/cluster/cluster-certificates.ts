// The cluster's certificates: one CA, and a certificate for each party.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import forge from 'node-forge';
import { firstNodes, type Layout, NETWORK, networkOf } from './cluster-layout.ts';

const { pki } = forge;
const DAY_MS = 86_400_000;
const LIFETIME_DAYS = 365;
const RSA_BITS = 2048;

interface Party {
  /** The API server takes it for the user name. */
  commonName: string;
  /** The API server takes it for the group. */
  organization?: string;
  /** DNS names and addresses that it serves under. */
  names?: string[];
}

/** File name to party. Names and groups: kubernetes.io/docs/setup/best-practices/certificates */
function parties(nodes: Layout[]): Record<string, Party> {
  return {
    'kube-apiserver': {
      commonName: 'kube-apiserver',
      names: [
        ...['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'],
        ...['localhost', '127.0.0.1', '::1', ...Object.values(NETWORK.node), ...Object.values(NETWORK.kubernetes)],
      ],
    },
    'kubelet-client': { commonName: 'kube-apiserver-kubelet-client', organization: 'system:masters' },
    ...Object.assign({}, ...nodes.map(kubeletParties)),
    'kube-controller-manager': { commonName: 'system:kube-controller-manager' },
    'kube-scheduler': { commonName: 'system:kube-scheduler' },
    'kube-proxy': { commonName: 'system:kube-proxy' },
    coredns: { commonName: 'coredns', organization: 'system:masters' },
    admin: { commonName: 'admin', organization: 'system:masters' },
  };
}

/** A kubelet serves and calls as its node. */
function kubeletParties({ nodeName, number, suffix }: Layout): Record<string, Party> {
  const party = { commonName: `system:node:${nodeName}`, organization: 'system:nodes' };
  return {
    [`kubelet-serving${suffix}`]: { ...party, names: [nodeName, ...Object.values(networkOf(number).node)] },
    [`kubelet${suffix}`]: party,
  };
}

/** Writes NAME.crt and NAME.key of every party, of the CA (`ca`), and the key that signs service account tokens. */
export async function writeCertificates(layout: Layout, nodes = 1): Promise<void> {
  const directory = layout.pki;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const write = (file: string, text: string) => writeFile(`${directory}/${file}`, text, { mode: 0o600 });
  const authority = await makeAuthority('kubernetes');
  await Promise.all([
    write('ca.crt', authority.certificate),
    write('ca.key', authority.key),
    write('service-accounts.key', pki.privateKeyToPem((await makeKeys()).privateKey)),
    ...Object.entries(parties(firstNodes(layout, nodes))).map(async ([file, party]) => {
      const { certificate, key } = await authority.issue(party);
      await write(`${file}.crt`, certificate);
      await write(`${file}.key`, key);
    }),
  ]);
}

/** Makes a CA. @returns certificate and key as PEM, and what issues a certificate with a key of its own */
export async function makeAuthority(commonName: string) {
  const keys = await makeKeys();
  const certificate = sign({ commonName }, keys, commonName, keys, [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  const issue = async (party: Party) => {
    const own = await makeKeys();
    const issued = sign(party, own, commonName, keys, extensionsOf(party));
    return { certificate: issued, key: pki.privateKeyToPem(own.privateKey) };
  };
  return { certificate, key: pki.privateKeyToPem(keys.privateKey), issue };
}

function extensionsOf({ names = [] }: Party): object[] {
  const altNames = names.map((name) => (/[:]|^[\d.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name }));
  return [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', clientAuth: true, serverAuth: names.length > 0 },
    ...(names.length > 0 ? [{ name: 'subjectAltName', altNames }] : []),
  ];
}

function sign(
  party: Party,
  keys: forge.pki.rsa.KeyPair,
  issuer: string,
  caKeys: forge.pki.rsa.KeyPair,
  extensions: object[],
): string {
  const certificate = pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + LIFETIME_DAYS * DAY_MS);
  const organization = party.organization ? [{ name: 'organizationName', value: party.organization }] : [];
  certificate.setSubject([{ name: 'commonName', value: party.commonName }, ...organization]);
  certificate.setIssuer([{ name: 'commonName', value: issuer }]);
  certificate.setExtensions(extensions);
  certificate.sign(caKeys.privateKey, forge.md.sha256.create());
  return pki.certificateToPem(certificate);
}

/** With a callback forge lets Node generate the keys, off the main thread. */
function makeKeys(): Promise<forge.pki.rsa.KeyPair> {
  return new Promise((resolve, reject) => {
    pki.rsa.generateKeyPair({ bits: RSA_BITS }, (error, keys) => (error ? reject(error) : resolve(keys)));
  });
}
