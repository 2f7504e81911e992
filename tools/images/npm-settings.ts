// How npm reaches its registry on this machine, as files for the build: mounted while npm runs, never in a layer.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { run } from './run-program.ts';

/** What npm says for a setting that is not set. */
const UNSET = ['', 'null', 'undefined'];

/** Writes the user's npmrc, with the registry and proxies that are in force, to `folder`; secrets by their id. */
export async function npmSecrets(folder: string, env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const setting = (name: string) => {
    const value = run('npm', ['config', 'get', name, '--loglevel=error'], { env });
    return UNSET.includes(value) ? undefined : value;
  };
  const userConfig = setting('userconfig');
  const own = userConfig && existsSync(userConfig) ? await readFile(userConfig, 'utf8') : '';
  const inForce = ['registry', 'proxy', 'https-proxy'].flatMap((name) => {
    const value = setting(name);
    return value ? [`${name}=${value}`] : [];
  });
  const npmrc = `${folder}/npmrc`;
  await writeFile(npmrc, `${own}\n${inForce.join('\n')}\n`, { mode: 0o600 });
  const ca = setting('cafile') ?? env['NODE_EXTRA_CA_CERTS'];
  return { npmrc, ...(ca && existsSync(ca) ? { ca } : {}) };
}
