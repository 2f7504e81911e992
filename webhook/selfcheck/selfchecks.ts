// The checks themselves, each a line of the report.
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { bundlesOf, trusts } from '../certificates/ca-bundle.ts';
import { SERVICE } from '../certificates/make-certificates.ts';
import { askPeers, type Peer } from '../certificates/peers.ts';
import { certificatesIn, fingerprint } from '../certificates/read-certificates.ts';
import type { Certificates } from '../certificates/start-certificates.ts';
import type { ClusterClient } from '../cluster/cluster-client.ts';
import { canaryFinding, type Target } from './canary.ts';
import { type Needs, permissionsFinding } from './permissions.ts';
import type { Check, Finding } from './selfcheck-report.ts';
import { configurationFinding } from './webhook-configuration.ts';

export interface CheckOptions {
  certificates: Certificates;
  /** undefined: no cluster is configured, and only what this process can tell is checked. */
  client: ClusterClient | undefined;
  /** Of the HTTPS server. */
  port(): number;
  expectsChecker: boolean;
  needs: Needs;
  /** What is being watched, and whether it has been listed. */
  watches: Record<string, () => boolean>;
}

const SERVICE_NAME = `${SERVICE}.${OWN_NAMESPACE}.svc`;

export function selfchecks({ certificates, client, port, expectsChecker, needs, watches }: CheckOptions): Check[] {
  const cert = () => certificates.current()?.cert ?? '';
  const always: Check[] = [
    ['certificate', () => certificateFinding(cert(), Date.now())],
    ['canary', () => canaryFinding(target(), expectsChecker)],
  ];
  if (client === undefined) return always;
  const configuration = () => certificates.configuration?.object();
  return [
    ...always,
    ['webhook-configuration', () => configurationFinding(configuration())],
    ['ca-bundle', () => bundleFinding(trusts(configuration(), cert()))],
    ['permissions', () => permissionsFinding(client, needs)],
    ['replicas', async () => replicasFinding(await askPeers(client, port()), fingerprint(cert()))],
    ['watches', () => watchesFinding(watches)],
  ];

  function target(): Target {
    const ca = certificates.ownAuthority();
    if (ca !== undefined) return { host: '127.0.0.1', port: port(), servername: 'localhost', ca };
    return { host: SERVICE_NAME, port: 443, servername: SERVICE_NAME, ca: bundlesOf(configuration())[0] ?? '' };
  }
}

/** Pure. @param now milliseconds since 1970 */
export function certificateFinding(cert: string, now: number): Finding {
  const [leaf] = certificatesIn(cert);
  if (leaf === undefined) return { ok: false, detail: 'there is none: see the log' };
  const ends = leaf.validToDate;
  if (ends.getTime() <= now) return { ok: false, detail: `it has ended at ${ends.toISOString()}: see the log` };
  if (leaf.validFromDate.getTime() > now) return { ok: false, detail: "it is not valid yet: look at the node's clock" };
  if (!leaf.checkHost(SERVICE_NAME)) {
    return { ok: false, detail: `it is not good for ${SERVICE_NAME}` };
  }
  return { ok: true, detail: `valid until ${ends.toISOString()}` };
}

function bundleFinding(trusted: boolean): Finding {
  if (trusted) return { ok: true, detail: 'the caBundle trusts what this replica serves' };
  return { ok: false, detail: 'the caBundle does not trust what this replica serves: see the log' };
}

/** Pure. @param print of what this replica serves */
export function replicasFinding(peers: Peer[], print: string): Finding {
  const different = peers.filter(({ fingerprint: served }) => served !== undefined && served !== print);
  const silent = peers.filter(({ fingerprint: served, ready }) => served === undefined && ready);
  const names = (some: Peer[]) => some.map(({ pod }) => pod).join(', ');
  if (different.length > 0) return { ok: false, detail: `another certificate is served by ${names(different)}` };
  if (silent.length > 0) return { ok: false, detail: `no answer from ${names(silent)}` };
  return { ok: true, detail: `${peers.length} serve the same certificate` };
}

function watchesFinding(watches: Record<string, () => boolean>): Finding {
  const behind = Object.keys(watches).filter((name) => watches[name]?.() === false);
  if (behind.length > 0) return { ok: false, detail: `not listed yet: ${behind.join(', ')}` };
  return { ok: true, detail: `listed: ${Object.keys(watches).join(', ')}` };
}
