// The checks of the webhook's self-check, each a line of the report.

import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE, WEBHOOK_CONFIGURATION, WEBHOOK_SERVICE } from '../../lib/contract.ts';
import { isObject } from '../../lib/json.ts';
import { bundlesOf, trusts } from '../certificates/ca-bundle.ts';
import { askPeers, type Peer } from '../certificates/peers.ts';
import { certificatesIn, fingerprint } from '../certificates/read-certificates.ts';
import type { Certificates } from '../certificates/start-certificates.ts';
import { SECRET } from '../certificates/tls-secret.ts';
import { type CanaryAddition, type CanaryTarget, canaryFinding } from './canary.ts';
import { configurationFinding } from './configuration-finding.ts';
import type { Check, CheckFinding } from './selfcheck-report.ts';

export interface CheckOptions {
  certificates: Certificates;
  /** undefined: no cluster is configured, and only what this process can tell is checked. */
  client: ClusterClient | undefined;
  /** Of the HTTPS server. */
  port(): number;
  /** What the webhook is configured to add to a pod. */
  adds: CanaryAddition;
  features: EnabledFeatures;
  /** What is being watched, and whether it has been listed. */
  watches: Record<string, () => boolean>;
}

const SERVICE_NAME = `${WEBHOOK_SERVICE}.${OWN_NAMESPACE}.svc`;

export function selfchecks({ certificates, client, port, adds, features, watches }: CheckOptions): Check[] {
  const cert = () => certificates.current()?.cert ?? '';
  const always: Check[] = [
    ['certificate', () => certificateFinding(cert(), Date.now())],
    ['canary', () => canaryFinding(target(), adds)],
  ];
  if (client === undefined) return always;
  const configuration = () => certificates.configuration?.object();
  return [
    ...always,
    ['webhook-configuration', () => configurationFinding(configuration())],
    ['ca-bundle', () => bundleFinding(trusts(configuration(), cert()))],
    ['permissions', () => permissionsFinding(client, features)],
    ['replicas', async () => replicasFinding(await askPeers(client, port()), fingerprint(cert()))],
    ['watches', () => watchesFinding(watches)],
  ];

  function target(): CanaryTarget {
    const ca = certificates.ownCa();
    if (ca !== undefined) return { host: '127.0.0.1', port: port(), servername: 'localhost', ca };
    return { host: SERVICE_NAME, port: 443, servername: SERVICE_NAME, ca: bundlesOf(configuration())[0] ?? '' };
  }
}

/** Pure. @param now milliseconds since 1970 */
export function certificateFinding(cert: string, now: number): CheckFinding {
  const [leaf] = certificatesIn(cert);
  if (leaf === undefined) return { ok: false, detail: 'there is no certificate: see the log' };
  const ends = leaf.validToDate;
  if (ends.getTime() <= now) return { ok: false, detail: `it expired at ${ends.toISOString()}: see the log` };
  if (leaf.validFromDate.getTime() > now) return { ok: false, detail: "it is not valid yet: check the node's clock" };
  if (!leaf.checkHost(SERVICE_NAME)) {
    return { ok: false, detail: `it is not good for ${SERVICE_NAME}` };
  }
  return { ok: true, detail: `valid until ${ends.toISOString()}` };
}

function bundleFinding(trusted: boolean): CheckFinding {
  if (trusted) return { ok: true, detail: "the caBundle trusts this replica's certificate" };
  return { ok: false, detail: "the caBundle does not trust this replica's certificate: see the log" };
}

/** Pure. @param print of what this replica serves */
export function replicasFinding(peers: Peer[], print: string): CheckFinding {
  const different = peers.filter(({ fingerprint: served }) => served !== undefined && served !== print);
  const silent = peers.filter(({ fingerprint: served, ready }) => served === undefined && ready);
  const names = (some: Peer[]) => some.map(({ pod }) => pod).join(', ');
  if (different.length > 0) return { ok: false, detail: `another certificate is served by ${names(different)}` };
  if (silent.length > 0) return { ok: false, detail: `no answer from ${names(silent)}` };
  return { ok: true, detail: `${peers.length} serve the same certificate` };
}

function watchesFinding(watches: Record<string, () => boolean>): CheckFinding {
  const behind = Object.keys(watches).filter((name) => watches[name]?.() === false);
  if (behind.length > 0) return { ok: false, detail: `not listed yet: ${behind.join(', ')}` };
  return { ok: true, detail: `listed: ${Object.keys(watches).join(', ')}` };
}

// Whether the service account has the permissions that the webhook needs.

interface Permission {
  verbs: string[];
  group: string;
  resource: string;
  name?: string;
  namespace?: string;
}

export interface EnabledFeatures {
  /** The webhook keeps its own certificates. */
  secret: boolean;
  events: boolean;
  coverage: boolean;
}

const REVIEWS_PATH = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** All permissions that the webhook needs. The manifests grant exactly these. Pure. */
export function neededPermissions({ secret, events, coverage }: EnabledFeatures): Permission[] {
  const configuration = { group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations' };
  const own = { group: '', resource: 'secrets', namespace: OWN_NAMESPACE };
  return [
    { verbs: ['list', 'watch'], group: '', resource: 'namespaces' },
    { verbs: ['list', 'watch', ...(secret ? ['patch'] : [])], ...configuration, name: WEBHOOK_CONFIGURATION },
    ...(secret
      ? [
          { verbs: ['create'], ...own },
          { verbs: ['get', 'list', 'watch', 'update'], ...own, name: SECRET },
        ]
      : []),
    ...(coverage ? [{ verbs: ['list', 'watch'], group: '', resource: 'pods' }] : []),
    ...(coverage ? [{ verbs: ['list', 'watch'], group: '', resource: 'events' }] : []),
    ...(events ? [{ verbs: ['create'], group: '', resource: 'events' }] : []),
  ];
}

/** Asks the API server about each permission. */
async function permissionsFinding(client: ClusterClient, features: EnabledFeatures): Promise<CheckFinding> {
  const asked = neededPermissions(features).flatMap(({ verbs, ...rest }) => verbs.map((verb) => ({ verb, ...rest })));
  const answers = await Promise.all(asked.map((attributes) => isAllowed(client, attributes)));
  const missing = asked.filter((_, index) => !answers[index]).map(({ verb, resource }) => `${verb} ${resource}`);
  if (missing.length === 0) return { ok: true, detail: `${asked.length} permissions asked for and granted` };
  return { ok: false, detail: `not allowed: ${missing.join(', ')}: apply the manifests again` };
}

async function isAllowed(client: ClusterClient, resourceAttributes: object): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const { status } = await client.create(REVIEWS_PATH, review);
  return isObject(status) && status['allowed'] === true;
}
