// The caBundle of the webhook configuration: what API servers trust. Pure.
import { isObject, isObjectList, type JsonObject, objectAt, shortText } from '../../lib/json.ts';
import { isTrusted } from './read-certificates.ts';

const LIMIT = 1_000_000;

/** The caBundle of each webhook of a configuration, as PEM; '' where one has none. */
export function bundlesOf(configuration: JsonObject | undefined): string[] {
  const webhooks = configuration?.['webhooks'];
  if (!isObjectList(webhooks)) return [];
  return webhooks.map(({ clientConfig }) => {
    const encoded = isObject(clientConfig) ? shortText(clientConfig['caBundle'], LIMIT) : '';
    return Buffer.from(encoded, 'base64').toString();
  });
}

/** True where every webhook of the configuration has exactly this bundle, and there is one at all. */
export function holdsBundle(configuration: JsonObject | undefined, bundle: string): boolean {
  const bundles = bundlesOf(configuration);
  return bundles.length > 0 && bundles.every((one) => one === bundle);
}

/** True where API servers would trust a server with this chain: by every webhook of the configuration. */
export function trusts(configuration: JsonObject | undefined, chain: string): boolean {
  const bundles = bundlesOf(configuration);
  return bundles.length > 0 && bundles.every((bundle) => isTrusted(chain, bundle));
}

/**
 * The JSON Patch that puts the bundle into every webhook that lacks it. The API server refuses it where the
 * configuration has changed meanwhile, because the indices of webhooks may have changed.
 */
export function bundlePatch(configuration: JsonObject, bundle: string): JsonObject[] {
  const version = objectAt(configuration, 'metadata')['resourceVersion'];
  const value = Buffer.from(bundle).toString('base64');
  const additions = bundlesOf(configuration).flatMap((present, index) =>
    present === bundle ? [] : [{ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }],
  );
  return [{ op: 'test', path: '/metadata/resourceVersion', value: version }, ...additions];
}
