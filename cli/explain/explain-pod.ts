// Asks a pod why its connections are reset: in its checker, or by an ephemeral container that is added.
import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import { errors } from '../cli-errors.ts';
import { readSettings } from '../guard/deployed-settings.ts';
import { missingRight } from '../refusal.ts';
import { explainCommand, explainContainer, interruptible, planExplain } from './explain-plan.ts';
import { type ExplainRequest, followContainer, RUN_MARGIN } from './follow-container.ts';

export interface PodQuestion extends ExplainRequest {
  namespace: string;
  pod: string;
}

/** @returns the program's exit code @throws CodedError; what the client rejects with */
export async function explainPod(question: PodQuestion): Promise<number> {
  const { client, namespace, pod: name, seconds, json, relay, note, stop } = question;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const pod = await client.get(path);
  const plan = planExplain(pod);
  const command = explainCommand(seconds, json, false);
  if (plan.do === 'refuse') throw errors.EXPLAIN_NOT_POSSIBLE(`${namespace}/${name}`, plan.why, plan.node);
  if (plan.do === 'exec') {
    const { execProgram } = await import('./exec-program.ts');
    const target = { namespace, pod: name, container: plan.container, command: interruptible(command) };
    return execProgram(client.config, target, relay, note, (seconds + RUN_MARGIN) * 1000, stop);
  }
  const settings = await readSettings(client, question.image, note);
  const container = explainContainer(pod, plan.name, settings, command);
  note(
    `adding the ephemeral container ${plan.name}: it ends after ${seconds} s, and stays in the description of the pod, because Kubernetes removes none`,
  );
  try {
    await client.mergePatch(`${path}/ephemeralcontainers`, { spec: { ephemeralContainers: [container] } });
  } catch (error) {
    throw refusal(error, `${namespace}/${name}`, nodeOf(pod));
  }
  const onStop = () => note(`${plan.name} cannot be ended early: it ends by itself within ${seconds} s`);
  stop.addEventListener('abort', onStop, { once: true });
  try {
    const one = {
      path,
      container: plan.name,
      what: `the ephemeral container ${plan.name}`,
      startSeconds: question.startSeconds,
      runSeconds: seconds + RUN_MARGIN,
    };
    return await followContainer(client, one, relay, stop);
  } finally {
    stop.removeEventListener('abort', onStop);
  }
}

const nodeOf = (pod: Record<string, unknown>) => {
  const { nodeName } = pod['spec'] as { nodeName?: string };
  return nodeName ?? '';
};

/** Pod Security refuses NET_ADMIN in ephemeral containers too. A missing right is told as such. */
function refusal(error: unknown, pod: string, node: string): unknown {
  if (!(error instanceof ApiError) || error.status >= 500 || missingRight(error) !== undefined) return error;
  return errors.EXPLAIN_NOT_POSSIBLE(pod, `the API server refuses the container: ${reasonOf(error)}`, node);
}
