// Signatures and attestations of the published release, as a cautious user checks them: with the public key alone.
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { PLATFORMS } from '../../tools/release/release-list.ts';
import { openRelease, PUBLIC_KEY } from '../harness/registry/published-release.ts';
import { putManifest, runProgram, tryProgram } from '../harness/registry/registry-programs.ts';
import { openRegistry } from '../harness/registry/registry-server.ts';

const registry = await openRegistry();
const release = await openRelease();
/** As docs/releasing.md has it: there is no transparency log. */
const WITH_KEY = ['--key', PUBLIC_KEY, '--private-infrastructure'];
const OCI = 'application/vnd.oci.image';

const verify = (reference: string, key = WITH_KEY) => tryProgram(registry, 'cosign', ['verify', ...key, reference]);

/** The in-toto statements of one type that are attached and signed. */
async function statementsOf(reference: string, type: string) {
  const args = ['verify-attestation', ...WITH_KEY, '--type', type, reference];
  const printed = await runProgram(registry, 'cosign', args);
  return printed
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(Buffer.from(JSON.parse(line).payload, 'base64').toString()));
}

async function chartReference(): Promise<string> {
  const chart = `${release.registry}/charts/invalid-drop`;
  const digest = await runProgram(registry, 'crane', ['digest', `${chart}:${release.version}`]);
  return `${chart}@${digest.trim()}`;
}

/** Name and digest of all that is signed. */
async function signed(): Promise<string[]> {
  const images = release.images.flatMap(({ name, digest, platforms }) => [
    `${release.registry}/${name}@${digest}`,
    ...PLATFORMS.map((platform) => `${release.registry}/${name}@${platforms[platform].digest}`),
  ]);
  return [...images, await chartReference()];
}

t.test('tags are the images of the release, for both architectures', async (t) => {
  for (const { name, digest, platforms } of release.images) {
    const tag = `${release.registry}/${name}:${release.version}`;
    t.equal((await runProgram(registry, 'crane', ['digest', tag])).trim(), digest, name);
    for (const platform of PLATFORMS) {
      const args = ['digest', `--platform=linux/${platform}`, tag];
      t.equal((await runProgram(registry, 'crane', args)).trim(), platforms[platform].digest, `${name} ${platform}`);
    }
  }
});

t.test('images and chart are signed by the key, and say where they come from', async (t) => {
  for (const reference of await signed()) {
    const { exitCode, stderr } = await verify(reference);
    t.equal(exitCode, 0, `${reference} ${stderr}`);
    const statements = await statementsOf(reference, 'slsaprovenance1');
    const [, digest] = reference.split('@sha256:');
    t.ok(statements.length > 0, reference);
    for (const { subject, predicate } of statements) {
      t.match(subject, [{ digest: { sha256: digest } }]);
      const { resolvedDependencies, externalParameters } = predicate.buildDefinition;
      t.match(externalParameters, { VERSION: release.version, REGISTRY: release.registry });
      t.match(resolvedDependencies[0], { digest: { gitCommit: release.commit } });
    }
  }
});

t.test('each image has its signed bill of materials', async (t) => {
  for (const { name, platforms } of release.images) {
    for (const platform of PLATFORMS) {
      const reference = `${release.registry}/${name}@${platforms[platform].digest}`;
      const [statement] = await statementsOf(reference, 'cyclonedx');
      t.match(statement.predicate, { bomFormat: 'CycloneDX' }, reference);
      t.ok(statement.predicate.components.length > 3, `${statement.predicate.components.length} components`);
    }
  }
});

/** A copy of the webhook's image with another label, beside it. @returns repository and digest */
async function tampered(label: string): Promise<[repository: string, digest: string]> {
  const image = release.images.find((one) => one.name === 'webhook');
  const repository = `${release.registry}/webhook`;
  const from = `${release.registry}/webhook@${image?.platforms.amd64.digest}`;
  await runProgram(registry, 'crane', ['mutate', `--label=tampered=${label}`, '-t', `${repository}:tampered`, from]);
  return [repository, (await runProgram(registry, 'crane', ['digest', `${repository}:tampered`])).trim()];
}

t.test('an image that was changed, or that another key has signed, is refused', async (t) => {
  const [repository, digest] = await tampered('without-signature');
  const unsigned = await verify(`${repository}@${digest}`);
  t.not(unsigned.exitCode, 0);
  t.match(unsigned.stderr, /no signatures found/);

  const folder = await mkdtemp(join(tmpdir(), 'invalid-drop-key-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const env = { COSIGN_PASSWORD: 'of-somebody-else' };
  await runProgram(registry, 'cosign', ['generate-key-pair'], { cwd: folder, env });
  const [original = ''] = await signed();
  const byOther = await verify(original, ['--key', `${folder}/cosign.pub`, '--private-infrastructure']);
  t.not(byOther.exitCode, 0, 'a key that has not signed it');
});

t.test('the signatures of the real image do not make a changed one pass', async (t) => {
  const [repository, digest] = await tampered('with-signatures');
  const original = release.images.find(({ name }) => name === 'webhook')?.platforms.amd64.digest ?? '';
  const referrersTag = (of: string) => of.replace(':', '-');
  const manifestOf = async (reference: string) =>
    JSON.parse(await runProgram(registry, 'crane', ['manifest', reference]));
  const size = Buffer.byteLength(await runProgram(registry, 'crane', ['manifest', `${repository}@${digest}`]));
  // What whoever can write to the registry can do: hang all that is attached to the one onto the other.
  const index = await manifestOf(`${repository}:${referrersTag(original)}`);
  t.ok(index.manifests.length > 1);
  const hung = [];
  for (const entry of index.manifests) {
    const manifest = await manifestOf(`${repository}@${entry.digest}`);
    t.equal(manifest.subject.digest, original);
    const text = JSON.stringify({ ...manifest, subject: { ...manifest.subject, digest, size } });
    const own = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    await putManifest(registry, repository, own, `${OCI}.manifest.v1+json`, text);
    hung.push({ ...entry, digest: own, size: Buffer.byteLength(text) });
  }
  const all = JSON.stringify({ ...index, manifests: hung });
  await putManifest(registry, repository, referrersTag(digest), `${OCI}.index.v1+json`, all);
  const { exitCode, stderr } = await verify(`${repository}@${digest}`);
  t.not(exitCode, 0);
  t.notMatch(stderr, /no signatures found/, 'they are found, and refused');
});
