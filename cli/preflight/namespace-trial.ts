// Asks the API server whether it would take a pod with our container: a dry run, of which nothing is stored.
import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { CHECKER_CONTAINER } from '../../lib/contract.ts';
import { type JsonObject, objectAt, objectsAt, shortText, textsIn } from '../../lib/json.ts';
import { NO_POD_LEVEL } from '../../lib/pod/pod-view.ts';
import { type InjectionSettings, sidecarContainer } from '../../webhook/admission/containers.ts';

/** What the API server, and the admission programs that it asked, said of a pod. */
export type TrialOutcome =
  | 'accepted'
  /** Pod Security, by the namespace's label or by the cluster's default. */
  | 'pod-security'
  /** Security context constraints of OpenShift. */
  | 'scc'
  /** Another admission program, such as Kyverno, Gatekeeper or that of GKE Autopilot. */
  | 'policy'
  /** It was accepted, but our container is not in it as it was sent. */
  | 'changed'
  /** It was accepted, and native sidecars are switched off. */
  | 'no-native-sidecars'
  /** The same pod is refused without our container too. */
  | 'refused-anyway'
  /** A webhook with side effects would have to be asked. */
  | 'no-dry-run'
  | 'no-right'
  | 'failed';

export interface Trial {
  outcome: TrialOutcome;
  /** The API server's words, or what they name. */
  detail: string;
}

type Client = Pick<ClusterClient, 'create'>;

/** Label and name of a pod of ours. It is never stored, but audit logs and admission programs see it. */
const NAME = 'invalid-drop-preflight';

/**
 * Sends a pod as the webhook would make it. Where it is refused, sends it again without our container.
 * @param openShift whether security context constraints decide, by the pod's ServiceAccount
 */
export async function tryNamespace(
  client: Client,
  namespace: string,
  settings: InjectionSettings,
  openShift: boolean,
): Promise<Trial> {
  if (openShift) return reviewOnOpenShift(client, namespace, guardedPod(settings));
  const trial = await dryRun(client, namespace, guardedPod(settings));
  if (!isRefusal(trial.outcome)) return trial;
  const without = await dryRun(client, namespace, plainPod());
  return isRefusal(without.outcome) ? { outcome: 'refused-anyway', detail: without.detail } : trial;
}

/** Whether agents may run: a pod like the agent's, in a namespace where Pod Security's refusal does not count. */
export async function tryNodeAgent(client: Client, namespace: string, image: string): Promise<Trial> {
  const trial = await dryRun(client, namespace, agentPod(image));
  // The overlay labels the agents' own namespace privileged.
  return trial.outcome === 'pod-security' ? { outcome: 'accepted', detail: '' } : trial;
}

const isRefusal = (outcome: TrialOutcome) => ['pod-security', 'scc', 'policy'].includes(outcome);

async function dryRun(client: Client, namespace: string, pod: JsonObject): Promise<Trial> {
  try {
    const stored = await client.create(`/api/v1/namespaces/${namespace}/pods`, pod, { dryRun: 'All' });
    return judgeStored(pod, stored);
  } catch (error) {
    return judgeRefusal(error);
  }
}

/**
 * What the API server would have stored. Pure. Where the gate SidecarContainers is off, it drops the restart policy of init
 * containers; policies may take capabilities away.
 */
export function judgeStored(sent: JsonObject, stored: JsonObject): Trial {
  const find = (pod: JsonObject) =>
    [...objectsAt(pod, 'spec', 'initContainers'), ...objectsAt(pod, 'spec', 'containers')].find(
      ({ name }) => name === CHECKER_CONTAINER,
    );
  const ours = find(sent);
  if (ours === undefined) return { outcome: 'accepted', detail: '' };
  const kept = find(stored);
  if (kept === undefined) return { outcome: 'changed', detail: 'our container was taken out' };
  const capabilities = textsIn(objectAt(kept, 'securityContext', 'capabilities')['add']);
  if (!capabilities.includes('NET_ADMIN'))
    return { outcome: 'changed', detail: 'NET_ADMIN was taken from our container' };
  if (objectAt(kept, 'securityContext')['runAsUser'] !== 0)
    return { outcome: 'changed', detail: 'our container was given another user than 0' };
  if (kept['image'] !== ours['image'])
    return { outcome: 'changed', detail: `its image became ${shortText(kept['image'])}` };
  if (kept['restartPolicy'] !== 'Always') return { outcome: 'no-native-sidecars', detail: '' };
  return { outcome: 'accepted', detail: '' };
}

/**
 * Words of the API server: Pod Security (k8s.io/pod-security-admission), OpenShift's constraints, RBAC
 * (apiserver/pkg/endpoints/handlers/responsewriters), and webhooks (apiserver/pkg/admission/plugin/webhook/errors).
 */
const POD_SECURITY = /violates PodSecurity "([^"]*)"/;
const SCC = /unable to validate against any security context constraint/;
const RBAC = /is forbidden: User "/;
const NO_DRY_RUN = /admission webhook "?([^" ]*)"? does not support dry run/;

/** Pure. @param error what the request was rejected with */
export function judgeRefusal(error: unknown): Trial {
  const words = reasonOf(error).replace(/^status \d+: /, '');
  if (!(error instanceof ApiError)) return { outcome: 'failed', detail: words };
  const level = POD_SECURITY.exec(error.message)?.[1];
  if (level !== undefined) return { outcome: 'pod-security', detail: `it enforces "${level}"` };
  if (SCC.test(error.message)) return { outcome: 'scc', detail: words };
  const webhook = NO_DRY_RUN.exec(error.message)?.[1];
  if (webhook !== undefined) return { outcome: 'no-dry-run', detail: webhook };
  if (error.status === 403 && RBAC.test(error.message)) return { outcome: 'no-right', detail: 'create pods' };
  // 400 and 403 are what admission programs answer; 404 is a namespace that has just gone.
  return { outcome: [400, 403, 422].includes(error.status) ? 'policy' : 'failed', detail: words };
}

/**
 * In a dry run the person's own constraints would count as well, and an administrator has all. This review asks for the pod's
 * ServiceAccount only (security.openshift.io, PodSecurityPolicySubjectReview).
 */
async function reviewOnOpenShift(client: Client, namespace: string, pod: JsonObject): Promise<Trial> {
  const path = `/apis/security.openshift.io/v1/namespaces/${namespace}/podsecuritypolicysubjectreviews`;
  const template = { metadata: pod['metadata'], spec: { ...objectAt(pod, 'spec'), serviceAccountName: 'default' } };
  const review = {
    apiVersion: 'security.openshift.io/v1',
    kind: 'PodSecurityPolicySubjectReview',
    spec: { template },
  };
  try {
    const { allowedBy, reason } = objectAt(await client.create(path, review), 'status');
    const constraint = shortText(objectAt(allowedBy)['name']);
    if (constraint !== '') return { outcome: 'accepted', detail: `by the constraint ${constraint}` };
    return {
      outcome: 'scc',
      detail: shortText(reason, 200) || 'no constraint of its default ServiceAccount allows it',
    };
  } catch (error) {
    const trial = judgeRefusal(error);
    return trial.outcome === 'no-right' ? { ...trial, detail: 'create podsecuritypolicysubjectreviews' } : trial;
  }
}

/** An application that each level of Pod Security allows, so that only our container can be the reason of a refusal. */
function plainPod(): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${NAME}-`,
      // Istio's container would ask for more than ours.
      labels: { 'app.kubernetes.io/name': NAME, 'sidecar.istio.io/inject': 'false' },
    },
    spec: {
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'app',
          image: 'registry.k8s.io/pause:3.10',
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '10m', memory: '16Mi' } },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            runAsNonRoot: true,
            runAsUser: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
        },
      ],
    },
  };
}

function guardedPod(settings: InjectionSettings): JsonObject {
  const pod = plainPod();
  const container = sidecarContainer(NO_POD_LEVEL, settings.options, settings, 'http');
  return { ...pod, spec: { ...objectAt(pod, 'spec'), initContainers: [container] } };
}

/** What manifests/node-agent asks for: two capabilities, and volumes of the node. */
function agentPod(image: string): JsonObject {
  const mounts = { netns: '/run/netns', cni: '/var/lib/cni', 'proc-sys-net': '/proc/sys/net' };
  const container = {
    name: 'node-agent',
    image,
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['SYS_ADMIN', 'NET_ADMIN'] },
    },
    volumeMounts: Object.entries(mounts).map(([name, path]) => ({ name, mountPath: `/host${path}` })),
  };
  const volumes = Object.entries(mounts).map(([name, path]) => ({ name, hostPath: { path } }));
  const { metadata } = plainPod();
  const spec = { automountServiceAccountToken: false, containers: [container], volumes };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec };
}
