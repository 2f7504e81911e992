import { createHash } from 'node:crypto';
import t from 'tap';
import { imageDocuments, imageIndex } from '../../../tools/release/oci-layout.ts';

const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const RECIPE = { packages: [], layers: [], env: ['A=1'], user: '1:2', entrypoint: ['node'], labels: { title: 'x' } };
const LAYER = {
  file: '/l',
  digest: `sha256:${'1'.repeat(64)}`,
  bytes: 1000,
  diffId: `sha256:${'2'.repeat(64)}`,
  createdBy: 'COPY',
};
const AT = { created: '2026-01-02T03:04:05Z' };

t.test('configuration and manifest say what they are made of, and what a node pulls', async (t) => {
  const { config, manifest, digest, bytes } = imageDocuments(RECIPE, [LAYER], { ...AT, platform: 'arm64' });
  t.match(JSON.parse(config), {
    created: AT.created,
    architecture: 'arm64',
    os: 'linux',
    config: { User: '1:2', Env: ['A=1'], Entrypoint: ['node'], Labels: { title: 'x' } },
    rootfs: { type: 'layers', diff_ids: [LAYER.diffId] },
    history: [{ created: AT.created, created_by: 'COPY' }],
  });
  const described = JSON.parse(manifest);
  t.equal(described.config.digest, digestOf(config));
  t.equal(described.config.size, config.length);
  t.match(described.layers, [{ digest: LAYER.digest, size: 1000 }]);
  t.equal(digest, digestOf(manifest));
  t.equal(bytes, 1000 + config.length + manifest.length);
});

t.test('the index names an image for each architecture, by its digest', async (t) => {
  const documents = {
    amd64: imageDocuments(RECIPE, [LAYER], { ...AT, platform: 'amd64' }),
    arm64: imageDocuments(RECIPE, [LAYER], { ...AT, platform: 'arm64' }),
  };
  const { index, digest } = imageIndex(documents, { title: 'x' });
  t.equal(digest, digestOf(index));
  t.match(JSON.parse(index), {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        digest: documents.amd64.digest,
        size: documents.amd64.manifest.length,
        platform: { architecture: 'amd64', os: 'linux' },
      },
      { digest: documents.arm64.digest, platform: { architecture: 'arm64', os: 'linux' } },
    ],
    annotations: { title: 'x' },
  });
  t.not(documents.amd64.digest, documents.arm64.digest);
});
