// The images of the mesh, as Istio's own Dockerfiles make them, on a local Debian: a base, and a layer with programs.

import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { keyOf } from '../../test/harness/cache-folder.ts';
import { must } from '../../test/harness/netns/processes.ts';
import { type ContainerDefaults, writeImage, writeLayer } from '../cluster/cluster-images.ts';
import { makeDebian } from '../images/local-base.ts';
import { HUB, TAG } from './istio-installation.ts';

const RELEASE = 'bookworm';
/** What istio-iptables and istio-cni run. */
const PACKAGES = ['iptables', 'nftables', 'iproute2', 'ca-certificates'];
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

interface Image {
  /** Path in the image to program. */
  files: Record<string, string>;
  config: ContainerDefaults;
}

const IMAGES: Record<string, Image> = {
  proxyv2: {
    files: {
      'usr/local/bin/pilot-agent': 'pilot-agent',
      'usr/local/bin/envoy': 'envoy',
      'var/lib/istio/envoy/envoy_bootstrap_tmpl.json': 'envoy_bootstrap.json',
    },
    config: { Entrypoint: ['/usr/local/bin/pilot-agent'], Env: [PATH] },
  },
  pilot: {
    files: { 'usr/local/bin/pilot-discovery': 'pilot-discovery' },
    config: { Entrypoint: ['/usr/local/bin/pilot-discovery'], Env: [PATH], User: '1337:1337' },
  },
  'install-cni': {
    files: { 'opt/cni/bin/istio-cni': 'istio-cni', 'usr/local/bin/install-cni': 'install-cni' },
    config: { Cmd: ['/usr/local/bin/install-cni'], Env: [`${PATH}:/opt/cni/bin`], WorkingDir: '/opt/cni/bin' },
  },
};

/**
 * Makes what is not in the cache.
 * @param programs name to path
 * @returns full image name to OCI archive
 */
export async function makeMeshImages(
  programs: Map<string, string>,
  cache: string,
  tell: (text: string) => void,
): Promise<Map<string, string>> {
  const archives = new Map<string, string>();
  for (const [name, image] of Object.entries(IMAGES)) {
    const files = Object.fromEntries(
      Object.entries(image.files).map(([path, program]) => [path, programs.get(program) ?? program]),
    );
    // Programs lie under the hash of what they are built from, so their paths stand for them.
    const archive = `${cache}/mesh/${name}-${keyOf([image, files, RELEASE, PACKAGES])}.oci.tar`;
    archives.set(`${HUB}/${name}:${TAG}`, archive);
    if (existsSync(archive)) continue;
    tell(`making ${HUB}/${name}:${TAG}`);
    await mkdir(`${cache}/mesh`, { recursive: true });
    const base = await makeBase(cache);
    await writeLayer(files, `${archive}.layer`);
    await writeImage([base, `${archive}.layer`], image.config, `${HUB}/${name}:${TAG}`, `${archive}.unfinished`);
    await rename(`${archive}.unfinished`, archive);
    await must('rm', ['-f', `${archive}.layer`]);
  }
  return archives;
}

async function makeBase(cache: string): Promise<string> {
  return `${await makeDebian(`${cache}/mesh/debian-${RELEASE}`, RELEASE, PACKAGES)}/base.tar`;
}
