// The settings of `make release`, from the environment.
import { errors } from './release-errors.ts';

export interface ReleaseSettings {
  /** Where the images are published, such as registry.example/invalid-drop. */
  registry: string;
  version: string;
  /** Address of the source. */
  source: string;
  /** The folder that the release is written to. */
  output: string;
  /** Private key of cosign, as its --key takes it. */
  key: string | undefined;
  allowDirty: boolean;
}

/** What package.json says. */
export interface PackageDefaults {
  version: string;
  repository: string;
}

/** SemVer 2.0.0, without build metadata: tags of images may not have the + before it. */
const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;
/** Host with optional port, and a path, as the OCI distribution specification has repository names. */
const REGISTRY = /^[a-z0-9][a-z0-9.-]*(?::\d{1,5})?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;
const SOURCE = /^https:\/\/[^\s"'<>]+[^\s"'<>/]$/;

/**
 * @param defaults of package.json
 * @param root of the repository
 * @throws CodedError RELEASE_REGISTRY_MISSING, RELEASE_SETTING_INVALID, RELEASE_UNSIGNED
 */
export function readReleaseSettings(env: NodeJS.ProcessEnv, defaults: PackageDefaults, root: string): ReleaseSettings {
  const registry = env['REGISTRY'] || '';
  if (!registry) throw errors.RELEASE_REGISTRY_MISSING();
  const version = env['VERSION'] || defaults.version;
  const source = env['SOURCE'] || defaults.repository;
  const key = env['COSIGN_KEY'] || undefined;
  const allowed = (name: string, value: string, pattern: RegExp, words: string) => {
    if (!pattern.test(value)) throw errors.RELEASE_SETTING_INVALID(name, value, words);
  };
  allowed('REGISTRY', registry, REGISTRY, 'a host and a path without a tag, such as registry.example/invalid-drop');
  allowed('VERSION', version, VERSION, 'a version such as 0.1.0 or 0.1.0-rc.1');
  allowed(
    'SOURCE',
    source,
    SOURCE,
    'an address such as https://git.example/team/invalid-drop, without a slash at its end',
  );
  allowed('SIGN', env['SIGN'] || 'possible', /^(required|possible)$/, 'required or nothing');
  allowed('ALLOW_DIRTY', env['ALLOW_DIRTY'] || '0', /^[01]$/, '1 or nothing');
  if (env['SIGN'] === 'required' && !key) throw errors.RELEASE_UNSIGNED();
  const output = env['RELEASE'] || `${root}/.run/release`;
  return { registry, version, source, output, key, allowDirty: env['ALLOW_DIRTY'] === '1' };
}

/** Where what takes long to fetch or to build is kept, outside the tree. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return `${env['XDG_CACHE_HOME'] || `${env['HOME'] || '/root'}/.cache`}/invalid-drop`;
}
