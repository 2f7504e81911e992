// What the API server's objects say of an installation. Pure: each function takes an object as it came.
import { ApiError } from '../../lib/cluster/api-error.ts';
import { type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { configurationFinding } from '../../webhook/selfcheck/configuration-finding.ts';
import type { PartState, StatusPart } from './status-report.ts';

type Said = Pick<StatusPart, 'state' | 'detail'>;
const INSTALL = 'install it: docs/install.md';

/** @param deployment of the webhook; undefined where there is none */
export function webhookPart(deployment: JsonObject | undefined): Said {
  if (deployment === undefined)
    return { state: 'not-well', detail: `there is no Deployment of the webhook: ${INSTALL}` };
  const wanted = numberAt(objectAt(deployment, 'spec')['replicas'], 1);
  const status = objectAt(deployment, 'status');
  const [ready, updated, all] = ['readyReplicas', 'updatedReplicas', 'replicas'].map((key) => numberAt(status[key], 0));
  const seen = numberAt(status['observedGeneration'], 0) >= numberAt(objectAt(deployment, 'metadata')['generation'], 0);
  const done = seen && ready === wanted && updated === wanted && all === wanted;
  const image = imagesIn(deployment);
  if (wanted === 0) return { state: 'not-well', detail: `it is scaled to 0 replicas: no pod is guarded; ${image}` };
  if (done) return { state: 'ok', detail: `${ready} of ${wanted} replicas Ready; ${image}` };
  const more =
    updated === wanted && all === wanted
      ? 'see kubectl describe pods -n invalid-drop-system'
      : 'a rollout is under way';
  return { state: 'not-well', detail: `${ready} of ${wanted} replicas Ready: ${more}; ${image}` };
}

/** @param daemonSet of the node agents; undefined where there is none */
export function agentsPart(daemonSet: JsonObject | undefined): Said {
  if (daemonSet === undefined) return { state: 'ok', detail: 'none are installed' };
  const status = objectAt(daemonSet, 'status');
  const wanted = numberAt(status['desiredNumberScheduled'], 0);
  const ready = numberAt(status['numberReady'], 0);
  const updated = numberAt(status['updatedNumberScheduled'], 0);
  const image = imagesIn(daemonSet);
  const state: PartState = ready >= wanted && updated >= wanted ? 'ok' : 'not-well';
  const why =
    state === 'ok' ? '' : ': nodes without an agent guard no pod; see kubectl get pods -n invalid-drop-system -o wide';
  return { state, detail: `${ready} of ${wanted} nodes Ready${why}; ${image}` };
}

/** @param configuration the MutatingWebhookConfiguration; undefined where there is none */
export function configurationPart(configuration: JsonObject | undefined): Said {
  const { ok, detail } = configurationFinding(configuration);
  if (!ok) return { state: 'not-well', detail };
  const bundles = objectsAt(configuration, 'webhooks').map((webhook) => objectAt(webhook, 'clientConfig')['caBundle']);
  if (bundles.some((one) => typeof one !== 'string' || one === ''))
    return { state: 'not-well', detail: `${detail}; it has no caBundle yet: the API server cannot call the webhook` };
  return { state: 'ok', detail };
}

/** @param report the page /selfcheck of one replica @param own version of this command */
export function replicaPart(report: JsonObject, own: string): Said {
  const checks = objectsAt(report, 'checks');
  const failed = checks.filter(({ ok }) => ok !== true);
  const version = shortText(report['version'], 40);
  const other = version === own ? '' : ` (this command is ${own}: use the version that is installed)`;
  const says = failed.map(({ name, detail }) => `${shortText(name, 60)}: ${shortText(detail, 300)}`);
  if (says.length > 0) return { state: 'not-well', detail: `${says.join('; ')}; version ${version}${other}` };
  return { state: 'ok', detail: `${checks.length} self-checks passed; version ${version}${other}` };
}

/** Images of the containers, and the one that is put into pods. */
function imagesIn(workload: JsonObject): string {
  const containers = objectsAt(workload, 'spec', 'template', 'spec', 'containers');
  const own = containers.map(({ image }) => shortText(image, 300));
  const injected = containers
    .flatMap((container) => objectsAt(container, 'env'))
    .flatMap(({ name, value }) => (name === 'INVALID_DROP_IMAGE' ? [`for pods ${shortText(value, 300)}`] : []));
  return `image ${[...own, ...injected].join(', ')}`;
}

function numberAt(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

/** The object, or undefined where the API server says that there is none. */
export async function orUndefined(asked: Promise<JsonObject>): Promise<JsonObject | undefined> {
  return asked.catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  });
}
