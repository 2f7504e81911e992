// The settings of the cluster's webhook, so that `guard` puts into pods what the webhook puts into new ones.

import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { CodedError } from '../../lib/errors.ts';
import { type JsonObject, objectsAt, textsIn } from '../../lib/json.ts';
import { readOptions } from '../../lib/options.ts';
import type { InjectionSettings } from '../../webhook/admission/containers.ts';
import { injectionSettings, OPTIONS } from '../../webhook/webhook-options.ts';
import { errors } from '../cli-errors.ts';

const NAME = 'invalid-drop-webhook';
export const DEPLOYMENT_PATH = `/apis/apps/v1/namespaces/${OWN_NAMESPACE}/deployments/${NAME}`;

/**
 * @param image in place of the one that the webhook injects; '' for that one
 * @param note told where the webhook's options cannot be read, and are taken to be the defaults
 * @throws CodedError GUARD_IMAGE_UNKNOWN
 */
export async function readSettings(
  client: Pick<ClusterClient, 'get'>,
  image: string,
  note: (text: string) => void,
): Promise<InjectionSettings> {
  try {
    const settings = settingsOf(await client.get(DEPLOYMENT_PATH));
    return { ...settings, image: image || settings.image };
  } catch (error) {
    if (!isAnswer(error)) throw error;
    if (image === '') throw errors.GUARD_IMAGE_UNKNOWN(reasonOf(error));
    note(`cannot read the webhook's options, so the defaults apply: ${reasonOf(error)}`);
    return { ...defaults(), image };
  }
}

/** The cluster answered: the Deployment is missing, may not be read, or is of another version. */
const isAnswer = (error: unknown) => error instanceof CodedError || (error instanceof ApiError && error.status < 500);

const defaults = () => injectionSettings(readOptions(OPTIONS, [], {}).values);

/**
 * The settings of a webhook, from its Deployment. Values that come from a ConfigMap or a Secret are not seen.
 * @throws CodedError where this version does not know one of its options
 */
export function settingsOf(deployment: JsonObject): InjectionSettings {
  const container = firstContainer(deployment);
  const env = objectsAt(container, 'env');
  const texts = env.flatMap(({ name, value }) =>
    typeof name === 'string' && typeof value === 'string' ? [[name, value]] : [],
  );
  return injectionSettings(readOptions(OPTIONS, textsIn(container['args']), Object.fromEntries(texts)).values);
}

function firstContainer(deployment: JsonObject): JsonObject {
  const containers = objectsAt(deployment, 'spec', 'template', 'spec', 'containers');
  return containers.find(({ name }) => name === 'webhook') ?? {};
}
