// Where the node agents answer: a watch on their pods, which are in the webhook's own namespace.
import { type Reflection, type ReflectOptions, reflect, type Sink } from '../../lib/cluster/reflector.ts';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, shortText } from '../../lib/json.ts';

/** Labels of the agents' DaemonSet. */
const AGENTS = 'app.kubernetes.io/name=invalid-drop,app.kubernetes.io/component=node-agent';

export interface AgentPod {
  name: string;
  node: string;
  /** '' where it answers no more, or not yet. */
  ip: string;
}

export interface AgentAddresses extends Pick<Reflection, 'synced' | 'stop'> {
  /** Address of the agent that runs on a node; undefined where none does. */
  on(node: string): string | undefined;
}

/** @returns at once; no agent is known until they have been listed */
export function watchAgents(options: Pick<ReflectOptions<AgentPod>, 'client' | 'log' | 'retryDelay'>): AgentAddresses {
  const agents = createAgentStore();
  const { synced, stop } = reflect({
    ...options,
    path: `/api/v1/namespaces/${OWN_NAMESPACE}/pods`,
    query: { labelSelector: AGENTS },
    what: 'node agents',
    project: agentPod,
    sink: agents.sink,
  });
  return { synced, stop, on: agents.on };
}

/** What is kept of a Pod; undefined where it is none, or has no node yet. */
export function agentPod(object: JsonObject): AgentPod | undefined {
  const { metadata } = object;
  const node = shortText(objectAt(object, 'spec')['nodeName']);
  if (!isObject(metadata) || node === '') return undefined;
  const { phase, podIP } = objectAt(object, 'status');
  const ends = metadata['deletionTimestamp'] !== undefined || phase === 'Succeeded' || phase === 'Failed';
  return { name: shortText(metadata['name']), node, ip: ends ? '' : shortText(podIP, 45) };
}

/** While an agent is replaced, its node has two pods: the one that answers counts. */
export function createAgentStore(): { sink: Sink<AgentPod>; on: AgentAddresses['on'] } {
  const byNode = new Map<string, AgentPod>();
  const leave = ({ name, node }: AgentPod) => {
    if (byNode.get(node)?.name === name) byNode.delete(node);
  };
  const put = (pod: AgentPod) => {
    if (pod.ip !== '') byNode.set(pod.node, pod);
    else leave(pod);
  };
  return {
    on: (node) => byNode.get(node)?.ip,
    sink: {
      put,
      remove: leave,
      replace(items) {
        byNode.clear();
        for (const item of items) put(item);
      },
    },
  };
}
