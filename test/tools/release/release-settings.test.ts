import t from 'tap';
import packageJson from '../../../package.json' with { type: 'json' };
import { readReleaseSettings } from '../../../tools/release/release-settings.ts';

const DEFAULTS = { version: '1.2.3', repository: 'https://git.example/a/b' };
const read = (env: NodeJS.ProcessEnv) => readReleaseSettings(env, DEFAULTS, '/root');
const REGISTRY = 'registry.example:5000/team/invalid-drop';

t.test('version and source are those of package.json, or those that are given', async (t) => {
  t.same(read({ REGISTRY }), {
    registry: REGISTRY,
    version: '1.2.3',
    source: 'https://git.example/a/b',
    output: '/root/.run/release',
    key: undefined,
    allowDirty: false,
  });
  const given = { REGISTRY, VERSION: '2.0.0-rc.1', SOURCE: 'https://git.example/c', COSIGN_KEY: 'k', ALLOW_DIRTY: '1' };
  t.match(read(given), { version: '2.0.0-rc.1', source: 'https://git.example/c', key: 'k', allowDirty: true });
});

t.test('the registry has to be given', async (t) => {
  for (const env of [{}, { REGISTRY: '' }])
    t.throws(() => read(env), { code: 'RELEASE_REGISTRY_MISSING', message: /make release REGISTRY=/ });
});

t.test('what is not allowed is named with its value', async (t) => {
  for (const [env, name] of [
    [{ REGISTRY: 'https://registry.example/a' }, 'REGISTRY'],
    [{ REGISTRY: 'registry.example/a:tag' }, 'REGISTRY'],
    [{ REGISTRY, VERSION: 'v1.2.3' }, 'VERSION'],
    [{ REGISTRY, VERSION: '1.2.3+build' }, 'VERSION'],
    [{ REGISTRY, SOURCE: 'git.example/a' }, 'SOURCE'],
    [{ REGISTRY, SOURCE: 'https://git.example/a/' }, 'SOURCE'],
    [{ REGISTRY, SIGN: 'yes' }, 'SIGN'],
    [{ REGISTRY, ALLOW_DIRTY: 'true' }, 'ALLOW_DIRTY'],
  ] as [Record<string, string>, string][]) {
    t.throws(() => read(env), { code: 'RELEASE_SETTING_INVALID', message: `${name}="${env[name]}" is not allowed` });
  }
});

t.test('a signature that is required needs a key', async (t) => {
  t.throws(() => read({ REGISTRY, SIGN: 'required' }), { code: 'RELEASE_UNSIGNED' });
  t.equal(read({ REGISTRY, SIGN: 'required', COSIGN_KEY: 'k' }).key, 'k');
});

t.test('what package.json says is allowed', async (t) => {
  t.equal(readReleaseSettings({ REGISTRY }, packageJson, '/').source, packageJson.repository);
});
