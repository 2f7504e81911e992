// How the registries of images and of npm are reached from this machine.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';

/** The host that serves an image's registry; Docker Hub's has another name than its images. */
export function registryHost(image: string): string {
  const [host = ''] = image.split('/');
  const named = image.includes('/') && /[.:]|^localhost$/.test(host);
  return !named || host === 'docker.io' ? 'registry-1.docker.io' : host;
}

/** Whether it answers at all within `limit` milliseconds; 401 is an answer too. */
export async function answers(host: string, limit: number): Promise<boolean> {
  try {
    const { status } = await fetch(`https://${host}/v2/`, { signal: AbortSignal.timeout(limit) });
    return status === 200 || status === 401;
  } catch {
    return false;
  }
}

/** What npm says for a setting that is not set. */
const UNSET = ['', 'null', 'undefined'];

/** Writes the user's npmrc, with the registry and proxies that are in force, to `folder`; secrets by their id. */
export async function npmSecrets(folder: string, env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const setting = async (name: string) => {
    const value = (await must('npm', ['config', 'get', name, '--loglevel=error'], { env })).trim();
    return UNSET.includes(value) ? undefined : value;
  };
  const userConfig = await setting('userconfig');
  const own = userConfig && existsSync(userConfig) ? await readFile(userConfig, 'utf8') : '';
  const inForce: string[] = [];
  for (const name of ['registry', 'proxy', 'https-proxy']) {
    const value = await setting(name);
    if (value) inForce.push(`${name}=${value}`);
  }
  const npmrc = `${folder}/npmrc`;
  await writeFile(npmrc, `${own}\n${inForce.join('\n')}\n`, { mode: 0o600 });
  const ca = (await setting('cafile')) ?? env['NODE_EXTRA_CA_CERTS'];
  return { npmrc, ...(ca && existsSync(ca) ? { ca } : {}) };
}
