// The pods of a namespace, by name.

import { isObject, isObjectList, shortText } from '../../lib/json.ts';
import type { ClusterClient } from '../cluster/cluster-client.ts';
import { refusalOf } from './api-refusal.ts';
import type { Target } from './guard-outcomes.ts';

const PAGE = 500;
/** Kubernetes is made for 5,000 nodes of 110 pods in all: no namespace has more pages. */
const MAX_PAGES = 1100;

/** @throws Error that names the permission where that is what is missing; otherwise what the client rejects with */
export async function listPods(client: Pick<ClusterClient, 'get'>, namespace: string): Promise<Target[]> {
  const targets: Target[] = [];
  let token = '';
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = { limit: String(PAGE), ...(token && { continue: token }) };
    const { items, metadata } = await client.get(`/api/v1/namespaces/${namespace}/pods`, query).catch((error) => {
      throw explained(error, namespace);
    });
    for (const item of isObjectList(items) ? items : [])
      targets.push({ namespace, pod: shortText(isObject(item['metadata']) ? item['metadata']['name'] : '') });
    token = shortText(isObject(metadata) ? metadata['continue'] : '', 10_000);
    if (token === '') break;
  }
  return targets;
}

function explained(error: unknown, namespace: string): unknown {
  const { outcome, detail } = refusalOf(error, 'list', namespace);
  return outcome === 'forbidden' ? new Error(detail) : error;
}
