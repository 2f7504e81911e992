// install.yaml for each overlay: what `kubectl apply -f` takes, with images of the registry by their digests.
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { must } from '../../test/harness/netns/processes.ts';
import type { ReleasedImage } from './release-list.ts';

const LIMIT = 60_000;
/** The prefix of images in the manifests. */
const LOCAL = 'localhost/invalid-drop';

/** File of the release to the folder of manifests/ that it is made of. */
export const INSTALL_FILES: Record<string, string> = {
  'install.yaml': '.',
  'install-cert-manager.yaml': 'overlays/cert-manager',
  'install-fail-closed.yaml': 'overlays/fail-closed',
  'install-node.yaml': 'overlays/node',
  'install-monitoring.yaml': 'overlays/monitoring',
};

export interface InstallFacts {
  registry: string;
  images: Pick<ReleasedImage, 'name' | 'digest'>[];
  /** What the manifests of the tree have, and what this release has: the address of a file at a version. */
  address: { inTree: string; ofRelease: string };
}

/** The kustomization that sets the images. @param resource path of the folder below manifests, from its own folder */
export function pinningKustomization(resource: string, { registry, images }: InstallFacts): string {
  const lines = images.flatMap(({ name, digest }) => [
    `  - name: ${LOCAL}/${name}`,
    `    newName: ${registry}/${name}`,
    `    digest: ${digest}`,
  ]);
  return [
    'apiVersion: kustomize.config.k8s.io/v1beta1',
    'kind: Kustomization',
    `resources: [${JSON.stringify(resource)}]`,
    'images:',
    ...lines,
    '',
  ].join('\n');
}

/** Addresses of the tree's version become those of the release. */
export function withAddress(text: string, { inTree, ofRelease }: InstallFacts['address']): string {
  return text.replaceAll(`${inTree}/`, `${ofRelease}/`);
}

/** Renders each. @param scratch on the same file system as `manifests`, since kustomize wants relative paths */
export async function writeInstallFiles(
  facts: InstallFacts,
  { kubectl, manifests, scratch, output }: { kubectl: string; manifests: string; scratch: string; output: string },
): Promise<void> {
  for (const [file, folder] of Object.entries(INSTALL_FILES)) {
    const work = await realpath(await mkdtemp(`${scratch}/kustomization-`));
    const resource = relative(work, await realpath(`${manifests}/${folder}`));
    await writeFile(`${work}/kustomization.yaml`, pinningKustomization(resource, facts));
    const text = await must(kubectl, ['kustomize', work], { limit: LIMIT });
    await writeFile(`${output}/${file}`, withAddress(text, facts.address));
    await rm(work, { recursive: true });
  }
}
