// Whether the service account may do what the webhook does.
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { isObject } from '../../lib/json.ts';
import { CONFIGURATION } from '../certificates/certificate-reconciler.ts';
import { SECRET } from '../certificates/tls-secret.ts';
import type { ClusterClient } from '../cluster/cluster-client.ts';
import type { Finding } from './selfcheck-report.ts';

interface Permission {
  verbs: string[];
  group: string;
  resource: string;
  name?: string;
  namespace?: string;
}

export interface Needs {
  /** The webhook keeps its own certificates. */
  secret: boolean;
  events: boolean;
  coverage: boolean;
}

const REVIEWS_PATH = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** All that the webhook asks of the API server. The manifests grant this and no more. Pure. */
export function neededPermissions({ secret, events, coverage }: Needs): Permission[] {
  const configuration = { group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations' };
  const own = { group: '', resource: 'secrets', namespace: OWN_NAMESPACE };
  return [
    { verbs: ['list', 'watch'], group: '', resource: 'namespaces' },
    { verbs: ['list', 'watch', ...(secret ? ['patch'] : [])], ...configuration, name: CONFIGURATION },
    ...(secret
      ? [
          { verbs: ['create'], ...own },
          { verbs: ['get', 'list', 'watch', 'update'], ...own, name: SECRET },
        ]
      : []),
    ...(coverage ? [{ verbs: ['list', 'watch'], group: '', resource: 'pods' }] : []),
    ...(events ? [{ verbs: ['create'], group: '', resource: 'events' }] : []),
  ];
}

/** Asks the API server about each permission. */
export async function permissionsFinding(client: ClusterClient, needs: Needs): Promise<Finding> {
  const asked = neededPermissions(needs).flatMap(({ verbs, ...rest }) => verbs.map((verb) => ({ verb, ...rest })));
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
