// Watches the resets of a node: makes a privileged pod there, prints what it says, and deletes it in every case.
import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import { listPages } from '../../lib/cluster/reflector.ts';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { objectAt, shortText } from '../../lib/json.ts';
import type { CliClient } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import { missingRight } from '../refusal.ts';
import { explainCommand, NODE_POD_LABELS, nodePod } from './explain-plan.ts';
import { type ExplainRequest, followContainer, RUN_MARGIN } from './follow-container.ts';

export interface NodeWatch extends ExplainRequest {
  node: string;
  /** Of the pod; '' for ours, or where ours does not take it, kube-system. */
  namespace: string;
}

/** For the program to remove what it made in tracefs. */
const GRACE = { gracePeriodSeconds: 5 };

/** @returns the program's exit code @throws CodedError; what the client rejects with */
export async function explainNode(watch: NodeWatch): Promise<number> {
  const { client, relay, note, stop, startSeconds, seconds } = watch;
  await client.get(`/api/v1/nodes/${watch.node}`);
  const path = await makePod(watch);
  // A pod that is told to end goes on being followed: its summary is its last words.
  const end = () => void remove(client, path, note);
  stop.addEventListener('abort', end, { once: true });
  if (stop.aborted) end();
  try {
    const what = `the pod on node ${watch.node}`;
    const one = { path, container: 'explain', what, startSeconds, runSeconds: seconds + RUN_MARGIN };
    return await followContainer(client, one, relay, stop);
  } finally {
    stop.removeEventListener('abort', end);
    await remove(client, path, note);
  }
}

async function remove(client: CliClient, path: string, note: NodeWatch['note']): Promise<void> {
  try {
    await client.remove(path, GRACE);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return;
    const [, , , , namespace, , pod] = path.split('/');
    note(`the pod could not be deleted (${reasonOf(error)}): kubectl delete pod -n ${namespace} ${pod}`);
  }
}

/** @returns its path */
async function makePod(watch: NodeWatch): Promise<string> {
  const { client, note } = watch;
  const namespaces = watch.namespace === '' ? [OWN_NAMESPACE, 'kube-system'] : [watch.namespace];
  const command = explainCommand(watch.seconds, watch.json, true);
  const limit = watch.startSeconds + watch.seconds + RUN_MARGIN;
  const pod = nodePod(watch.node, watch.image, command, limit);
  for (const [index, namespace] of namespaces.entries()) {
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    try {
      await removeLeftovers(client, pods, note);
      const made = await client.create(pods, pod);
      return `${pods}/${shortText(objectAt(made, 'metadata')['name'])}`;
    } catch (error) {
      // Without the right there is nothing to try elsewhere; Pod Security and a missing namespace are of this one only.
      if (!(error instanceof ApiError) || missingRight(error) !== undefined) throw error;
      if (index === namespaces.length - 1) throw errors.EXPLAIN_NODE_REFUSED(namespace, reasonOf(error));
      const next = namespaces[index + 1];
      note(`namespace ${namespace} does not take a privileged pod, so it is made in ${next}`);
    }
  }
  throw errors.EXPLAIN_TARGET();
}

/** Pods of runs that were killed: the kubelet has ended them, and nobody deleted them. */
async function removeLeftovers(client: CliClient, pods: string, note: NodeWatch['note']): Promise<void> {
  const labelSelector = Object.entries(NODE_POD_LABELS)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
  try {
    for await (const { objects } of listPages(client, pods, { labelSelector })) {
      for (const { metadata, status } of objects) {
        const phase = objectAt(status)['phase'];
        if (phase !== 'Succeeded' && phase !== 'Failed') continue;
        await remove(client, `${pods}/${shortText(objectAt(metadata)['name'])}`, note);
      }
    }
  } catch (error) {
    // Without the right to list, they stay.
    if (!(error instanceof ApiError)) throw error;
  }
}
