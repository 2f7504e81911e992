// Builds the images and saves them as OCI archives: `make images`. docs/images.md describes the variables.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { must } from '../../test/harness/netns/processes.ts';
import { BUILD_LIMIT, type Builder, buildArgs, existsArgs, findBuilder, saveArgs, succeeds } from './image-builder.ts';
import { findSource, hashInputs, IMAGES, type ImageSource } from './image-sources.ts';
import { makeLocalImages } from './local-base.ts';
import { unpack } from './oci-archive.ts';
import { answers, npmSecrets, registryHost } from './registries.ts';
import { makeSbom, type NpmKnowledge, readContents } from './sbom.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const RELEASE = 'bookworm';
const REGISTRY_ANSWER = 5000;
const { env } = process;
const say = (line: string) => process.stdout.write(`${line}\n`);
const given = (name: string) => env[name] || undefined;

async function main(): Promise<void> {
  const began = Date.now();
  const registry = given('REGISTRY') ?? 'localhost/invalid-drop';
  const tag = `${given('VERSION') ?? packageJson.version}${given('TAG') ?? ''}`;
  const output = `${ROOT}/.run/images`;
  await mkdir(output, { recursive: true });
  const builder = await findBuilder(given('BUILDER'));
  const bases = await findBases(builder);
  const scratch = await mkdtemp(`${tmpdir()}/invalid-drop-images-`);
  try {
    const source = await findSource(ROOT, given('COMMIT'), scratch);
    for (const name of IMAGES) {
      if (!isIn(source, name)) continue;
      const image = `${registry}/${name}:${tag}`;
      const args = { ...bases, VERSION: tag, REVISION: source.revision, SOURCE: given('SOURCE') ?? repository() };
      await buildOne({
        name,
        image,
        args,
        archive: `${output}/${name}${given('TAG') ?? ''}.oci.tar`,
        source,
        builder,
        scratch,
      });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  say(`done in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

/** Whether the source has that image: an older commit may not. */
function isIn({ context }: ImageSource, name: string): boolean {
  if (name !== 'node-agent' || existsSync(`${context}/node-agent/agent.ts`)) return true;
  say(`${name} is left out: the source does not have it`);
  return false;
}

/** Where the source is, as package.json says. */
function repository(): string {
  const { repository } = packageJson as { repository?: string | { url: string } };
  return (typeof repository === 'string' ? repository : repository?.url) ?? 'unknown';
}

/** The base images; none where the Containerfile's own can be pulled, which are its defaults. */
async function findBases(builder: Builder): Promise<Record<string, string>> {
  const [NODE_IMAGE, BASE_IMAGE] = [given('NODE_IMAGE'), given('BASE_IMAGE')];
  if (NODE_IMAGE && BASE_IMAGE) return { NODE_IMAGE, BASE_IMAGE };
  if (NODE_IMAGE || BASE_IMAGE) throw new Error('give NODE_IMAGE and BASE_IMAGE both, or neither');
  const text = await readFile(`${ROOT}/init-image/Containerfile`, 'utf8');
  const [, base = ''] = text.match(/^ARG BASE_IMAGE=(.*)$/m) ?? [];
  if (await answers(registryHost(base), REGISTRY_ANSWER)) return {};
  say(
    `${registryHost(base)} does not answer: building on a local Debian ${RELEASE} made by mmdebstrap, not on ${base}`,
  );
  const cache = `${env['XDG_CACHE_HOME'] || `${homedir()}/.cache`}/invalid-drop/images`;
  const node = `${ROOT}/node_modules/node/bin/node`;
  return { ...(await makeLocalImages(builder, cache, { release: RELEASE, node, nodeVersion: process.version })) };
}

interface One {
  name: string;
  image: string;
  args: Record<string, string>;
  archive: string;
  source: ImageSource;
  builder: Builder;
  scratch: string;
}

async function buildOne({ name, image, args, archive, source, builder, scratch }: One): Promise<void> {
  const containerfile = `${source.context}/${name}/Containerfile`;
  const stamp = `${archive}.inputs`;
  const hash = await hashInputs(source.context, [image, args, builder.name]);
  const same = existsSync(archive) && (await readFile(stamp, 'utf8').catch(() => '')) === hash;
  if (same && (await succeeds(builder.name, existsArgs(builder.name, image), { env: builder.env }))) {
    say(`${image} is up to date: ${archive}`);
    return;
  }
  say(`building ${image} with ${builder.name}`);
  const secrets = await npmSecrets(scratch, env);
  const build = buildArgs(builder.name, { containerfile, context: source.context, image, args, secrets });
  await must(builder.name, build, { env: builder.env, limit: BUILD_LIMIT });
  await rm(archive, { force: true });
  await must(builder.name, saveArgs(builder.name, image, archive), { env: builder.env, limit: BUILD_LIMIT });
  const bom = await sbomOf(image, archive, source.context, `${scratch}/${name}`);
  await writeFile(archive.replace(/oci\.tar$/, 'cdx.json'), `${JSON.stringify(bom, null, 2)}\n`);
  await writeFile(stamp, hash);
  say(`${image} saved to ${archive}, ${((await stat(archive)).size / 1e6).toFixed(1)} MB`);
}

async function sbomOf(image: string, archive: string, context: string, folder: string) {
  const { root } = await unpack(archive, folder);
  // Lists all packages: --omit=dev would leave out those that production and development share. The bundled ones are
  // known.
  const list = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--loglevel=error'];
  const npm: NpmKnowledge = {
    lock: JSON.parse(await readFile(`${context}/package-lock.json`, 'utf8')),
    sbom: JSON.parse(await must('npm', list, { cwd: context, limit: BUILD_LIMIT })),
  };
  const colon = image.lastIndexOf(':');
  return makeSbom({ name: image.slice(0, colon), version: image.slice(colon + 1) }, await readContents(root), npm);
}

main().catch((error: unknown) => {
  process.stderr.write(`images: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
