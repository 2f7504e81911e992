// The bill of materials of an image, CycloneDX 1.5: what it contains.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface SbomComponent {
  type: string;
  name: string;
  version: string;
  purl?: string;
  'bom-ref'?: string;
  [field: string]: unknown;
}

export interface Bom {
  bomFormat: 'CycloneDX';
  specVersion: '1.5';
  serialNumber: string;
  version: 1;
  metadata: { component: SbomComponent };
  components: SbomComponent[];
}

/** What an image holds, as read from its root file system. */
export interface ImageContents {
  /** /var/lib/dpkg/status */
  dpkgStatus: string;
  /** VERSION_ID of /etc/os-release */
  debianVersion: string;
  nodeVersion: string;
  /** Paths in the lock file of the npm packages in the bundles: /opt/invalid-drop/bundled-packages.json. */
  bundledPackages: string[];
}

/** What npm knows of the packages that the bundles may hold: its lock file, and `npm sbom`. */
export interface NpmKnowledge {
  lock: { packages: Record<string, { name?: string; version?: string }> };
  sbom: { components: SbomComponent[] };
}

/** @param image its name and tag, and its purl where it has a digest */
export function makeSbom(
  image: { name: string; version: string; purl?: string },
  contents: ImageContents,
  npm: NpmKnowledge,
): Bom {
  const { debianVersion, nodeVersion } = contents;
  const components = [
    { type: 'operating-system', name: 'debian', version: debianVersion, 'bom-ref': `debian@${debianVersion}` },
    nodeComponent(nodeVersion),
    ...debianComponents(contents.dpkgStatus, debianVersion),
    ...npmComponents(contents.bundledPackages, npm),
  ];
  return bill({ type: 'container', 'bom-ref': `${image.name}:${image.version}`, ...image }, components);
}

/**
 * The bill of a program that is one bundle.
 * @param nodeVersion of the Node in it; undefined where it has none
 * @param bundledPackages paths in the lock file
 */
export function makeProgramSbom(
  program: { name: string; version: string; purl?: string },
  { nodeVersion, bundledPackages }: { nodeVersion: string | undefined; bundledPackages: string[] },
  npm: NpmKnowledge,
): Bom {
  const node = nodeVersion === undefined ? [] : [nodeComponent(nodeVersion)];
  const component = { type: 'application', 'bom-ref': `${program.name}@${program.version}`, ...program };
  return bill(component, [...node, ...npmComponents(bundledPackages, npm)]);
}

function bill(component: SbomComponent, components: SbomComponent[]): Bom {
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: serialNumber(JSON.stringify([component, components])),
    version: 1,
    metadata: { component },
    components,
  };
}

function nodeComponent(version: string): SbomComponent {
  const purl = `pkg:generic/node@${version}`;
  const cpe = `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`;
  return { type: 'application', name: 'node', version, purl, cpe, 'bom-ref': purl };
}

/** A component for each package that dpkg's status names as installed. */
export function debianComponents(status: string, debianVersion: string): SbomComponent[] {
  return status
    .split(/\n{2,}/)
    .map((stanza) =>
      Object.fromEntries([...stanza.matchAll(/^([A-Z][\w-]*): (.*)$/gm)].map(([, key, value]) => [key, value])),
    )
    .filter((fields) => fields['Status'] === 'install ok installed')
    .map(({ Package: name = '', Version: version = '', Architecture: architecture = '' }) => {
      const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=debian-${debianVersion}`;
      return { type: 'library', name, version, purl, 'bom-ref': purl };
    });
}

/** @throws where the bundle holds a package that npm does not know */
function npmComponents(paths: string[], { lock, sbom }: NpmKnowledge): SbomComponent[] {
  const known = new Map(sbom.components.map((component) => [component['bom-ref'], component]));
  return paths.map((path) => {
    const { name = path.replace(/^.*node_modules\//, ''), version } = lock.packages[path] ?? {};
    const component = known.get(`${name}@${version}`);
    if (!component) throw new Error(`the bundle holds ${path}, but npm sbom does not list ${name}@${version}`);
    return { ...component, scope: 'required' };
  });
}

/** A UUID that is the same for the same contents. */
function serialNumber(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${parts.join('-')}`;
}

export async function readContents(root: string): Promise<ImageContents> {
  const release = await readFile(`${root}/usr/lib/os-release`, 'utf8');
  return {
    dpkgStatus: await readFile(`${root}/var/lib/dpkg/status`, 'utf8'),
    debianVersion: debianVersionOf(release),
    nodeVersion: nodeVersion(await readFile(`${root}/usr/local/bin/node`)),
    bundledPackages: JSON.parse(await readFile(`${root}/opt/invalid-drop/bundled-packages.json`, 'utf8')),
  };
}

/** @param release the text of os-release(5) */
export function debianVersionOf(release: string): string {
  return release.match(/^VERSION_ID="?([^"\n]*)/m)?.[1] ?? 'unknown';
}

/** Read from the URL of its headers inside the binary, which may be for another architecture. */
function nodeVersion(binary: Buffer): string {
  const start = binary.indexOf('/node-v');
  const version = binary
    .subarray(start, start + 40)
    .toString('latin1')
    .match(/^\/node-v(\d+\.\d+\.\d+)/)?.[1];
  if (!version) throw new Error('no version found in usr/local/bin/node');
  return version;
}
