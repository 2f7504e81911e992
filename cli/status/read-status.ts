// Asks for each part of a status. A part that cannot be asked is unknown, with the reason, and the others are told all the same.
import { ApiError } from '../../lib/cluster/api-error.ts';
import { OWN_NAMESPACE, VERSION, WEBHOOK_CONFIGURATION } from '../../lib/contract.ts';
import type { CliClient } from '../cli-command.ts';
import { coverageOf } from '../coverage-command.ts';
import { DEPLOYMENT_PATH, settingsOf } from '../guard/deployed-settings.ts';
import { failureText } from '../refusal.ts';
import { askReplica, askWebhook, findReplicas, jsonOf, type WebhookReplica } from '../webhook-pages.ts';
import { admissionPart } from './dry-run-pod.ts';
import { agentsPart, configurationPart, orUndefined, replicaPart, webhookPart } from './installed-parts.ts';
import { type PartState, type StatusPart, type StatusReport, statusReport } from './status-report.ts';

const CONFIGURATION_PATH = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${WEBHOOK_CONFIGURATION}`;
const AGENTS_PATH = `/apis/apps/v1/namespaces/${OWN_NAMESPACE}/daemonsets/invalid-drop-node-agent`;

type Said = Pick<StatusPart, 'state' | 'detail'>;

/**
 * @param connect makes a client with a connection of its own
 * @param namespace for the dry run; '' for the first one that will do
 * @throws what the first question fails with where that is no answer of the API server
 */
export async function readStatus(connect: () => Promise<CliClient>, namespace: string): Promise<StatusReport> {
  const client = await connect();
  // First and alone: where the API server does not answer, that is the one thing to say.
  const deployment = orUndefined(client.get(DEPLOYMENT_PATH));
  await deployment.catch((error: unknown) => {
    if (!(error instanceof ApiError) || error.status === 401) throw error;
  });
  const parts = await Promise.all([
    part('webhook', async () => webhookPart(await deployment)),
    part('configuration', async () => configurationPart(await orUndefined(client.get(CONFIGURATION_PATH)))),
    part('node-agents', async () => agentsPart(await orUndefined(client.get(AGENTS_PATH)))),
    replicaParts(client),
    part('coverage', () => coveragePart(client)),
    part('admission', async () =>
      admissionPart(connect, namespace, nodeModeOf(await deployment.catch(() => undefined))),
    ),
  ]);
  return statusReport(VERSION, parts.flat());
}

async function part(name: string, ask: () => Promise<Said>): Promise<StatusPart> {
  try {
    return { part: name, ...(await ask()) };
  } catch (error) {
    return { part: name, state: failureState(error), detail: failureText(error) };
  }
}

/**
 * What could not be asked for want of a right is not known. Where a page is not to be had from a replica that is Ready, or the API
 * server is in trouble, something is not well, and may be so for a moment only.
 */
export function failureState(error: unknown): PartState {
  if (error instanceof ApiError) return error.status === 403 || error.status === 401 ? 'unknown' : 'not-well';
  const { code } = error as { code?: unknown };
  return code === 'PORT_FORWARD_FAILED' || code === 'PAGE_UNEXPECTED' ? 'not-well' : 'unknown';
}

async function replicaParts(client: CliClient): Promise<StatusPart[]> {
  let replicas: WebhookReplica[];
  try {
    replicas = await findReplicas(client);
  } catch (error) {
    return [{ part: 'replicas', state: 'unknown', detail: failureText(error) }];
  }
  return Promise.all(
    replicas.map((replica) => {
      const name = `replica ${replica.pod}`;
      // The webhook's part says how many are.
      if (!replica.ready) return { part: name, state: 'not-well' as const, detail: 'it is not Ready' };
      return part(name, async () =>
        replicaPart(jsonOf('/selfcheck', await askReplica(client, replica, '/selfcheck', 'application/json')), VERSION),
      );
    }),
  );
}

async function coveragePart(client: CliClient): Promise<Said> {
  const report = coverageOf('/coverage', await askWebhook(client, '/coverage', 'application/json'));
  const { guarded, total, namespaces, synced } = report;
  const more = guarded === total ? '' : '; kubectl invalid-drop coverage says which are not';
  const text = `${guarded} of ${total} pods in ${namespaces.length} namespaces are guarded${more}`;
  return { state: 'ok', detail: synced ? text : `${text} (not all have been listed yet)` };
}

/** Of a webhook that this version does not understand: as if there were no agents. */
function nodeModeOf(deployment: Parameters<typeof webhookPart>[0]) {
  try {
    return deployment === undefined ? 'disabled' : settingsOf(deployment).nodeMode;
  } catch {
    return 'disabled';
  }
}
