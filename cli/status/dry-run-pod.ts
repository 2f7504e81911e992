// Whether a pod that is sent through the API server gets what guards it: a dry run, which stores nothing. That the Deployment is
// rolled out says less: API servers hear of a new configuration, and the Service of new replicas, a moment later, and pods that
// are created until then are not guarded.
import { ApiError } from '../../lib/cluster/api-error.ts';
import { listPages } from '../../lib/cluster/reflector.ts';
import {
  CHECKER_CONTAINER,
  GUARDED_CONDITION,
  INIT_CONTAINER,
  type NodeMode,
  OPT_IN_LABEL,
  OPT_IN_VALUES,
  POD_OPTIONS,
} from '../../lib/contract.ts';
import { isTextMap, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { isOptedIn, placementOfNewPod } from '../../lib/pod/placement.ts';
import { viewPod } from '../../lib/pod/pod-view.ts';
import { LEFT_ALONE_REASONS, reasonToLeaveAlone } from '../../lib/pod/reasons.ts';
import type { CliClient } from '../cli-command.ts';
import { missingRight } from '../refusal.ts';
import type { StatusPart } from './status-report.ts';

/** So that each of several API servers is asked: a load balancer hands connections out in turn. */
const TIMES = 3;

/**
 * A pod that Pod Security `restricted`, quotas and ranges of limits allow. In mode observe nothing would be added for an agent.
 */
export const DRY_RUN_POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'invalid-drop-dry-run', annotations: { [POD_OPTIONS.mode.annotation]: 'enforce' } },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'app',
        image: 'invalid-drop.io/dry-run',
        resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '10m', memory: '16Mi' } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
};

/** What the webhook added to a pod that came back from a dry run; undefined: nothing. Pure. */
export function additionIn(pod: JsonObject): string | undefined {
  const containers = ['initContainers', 'containers'].flatMap((list) => objectsAt(pod, 'spec', list));
  const own = [INIT_CONTAINER, CHECKER_CONTAINER].filter((wanted) => containers.some(({ name }) => name === wanted));
  if (own.length > 0) return own.join(' and ');
  const gates = objectsAt(pod, 'spec', 'readinessGates');
  const gated = gates.some(({ conditionType }) => conditionType === GUARDED_CONDITION);
  return gated ? `the readiness gate ${GUARDED_CONDITION}` : undefined;
}

/** Whether the webhook is to add something to the dry run's pod there. Pure. @returns why not; undefined where it is */
export function whyNotThere(namespace: JsonObject, nodeMode: NodeMode): string | undefined {
  const metadata = objectAt(namespace, 'metadata');
  const { labels, name } = metadata;
  const known = isTextMap(labels) ? labels : {};
  const values = OPT_IN_VALUES.join(', ');
  if (!isOptedIn(known)) return `it has no label ${OPT_IN_LABEL} with one of ${values}`;
  if (metadata['deletionTimestamp'] !== undefined) return 'it is being deleted';
  const view = viewPod(DRY_RUN_POD);
  if (view === undefined) return undefined;
  const reason = reasonToLeaveAlone(view, { name, labels: known }, placementOfNewPod(view, known, nodeMode));
  return reason === undefined ? undefined : LEFT_ALONE_REASONS[reason];
}

/**
 * The part `admission` of a status.
 * @param connect makes a client with a connection of its own
 * @param only a namespace; '' for the first one that will do
 * @throws what the API server refuses
 */
export async function admissionPart(
  connect: () => Promise<CliClient>,
  only: string,
  nodeMode: NodeMode,
): Promise<Pick<StatusPart, 'state' | 'detail'>> {
  const namespace = await chooseNamespace(await connect(), only, nodeMode);
  if ('why' in namespace) return { state: 'unknown', detail: namespace.why };
  const { name } = namespace;
  for (let i = 0; i < TIMES; i += 1) {
    const came = await tryOnce(await connect(), name);
    if ('why' in came) return { state: 'not-well', detail: came.why };
    if (i + 1 === TIMES) {
      const text = `a pod sent to namespace ${name} as a dry run gets ${came.addition}, ${TIMES} times of ${TIMES}`;
      return { state: 'ok', detail: text };
    }
  }
  throw new Error('unreachable');
}

async function tryOnce(client: CliClient, namespace: string): Promise<{ addition: string } | { why: string }> {
  try {
    const pod = await client.create(`/api/v1/namespaces/${namespace}/pods`, DRY_RUN_POD, { dryRun: 'All' });
    const addition = additionIn(pod);
    if (addition !== undefined) return { addition };
    const why = 'comes back as it was: the API server did not reach the webhook, and such a pod would not be guarded';
    return { why: `a pod sent to namespace ${namespace} as a dry run ${why}` };
  } catch (error) {
    if (missingRight(error) !== undefined || !(error instanceof ApiError)) throw error;
    return { why: `a pod sent to namespace ${namespace} as a dry run is refused: ${error.message}` };
  }
}

const NO_NAMESPACE = `no namespace is opted in, and only a pod in one shows whether the API server reaches the webhook: label one (kubectl label namespace NAME ${OPT_IN_LABEL}=enabled), and ask again`;

async function chooseNamespace(
  client: CliClient,
  only: string,
  nodeMode: NodeMode,
): Promise<{ name: string } | { why: string }> {
  if (only !== '') {
    const why = whyNotThere(await client.get(`/api/v1/namespaces/${only}`), nodeMode);
    return why === undefined ? { name: only } : { why: `no pod of namespace ${only} shows it: ${why}` };
  }
  const labelSelector = `${OPT_IN_LABEL} in (${OPT_IN_VALUES.join(', ')})`;
  let seen: { name: string; why: string } | undefined;
  for await (const { objects } of listPages(client, '/api/v1/namespaces', { labelSelector })) {
    for (const object of objects) {
      const name = shortText(objectAt(object, 'metadata')['name']);
      const why = whyNotThere(object, nodeMode);
      if (why === undefined) return { name };
      seen ??= { name, why };
    }
  }
  return { why: seen === undefined ? NO_NAMESPACE : `no opted-in namespace shows it; of ${seen.name}: ${seen.why}` };
}
