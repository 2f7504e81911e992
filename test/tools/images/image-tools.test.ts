import { mkdir, readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { buildArgs, existsArgs, saveArgs } from '../../../tools/images/image-builder.ts';
import { hashInputs, IMAGES, SOURCES } from '../../../tools/images/image-sources.ts';
import { findIn } from '../../../tools/images/oci-archive.ts';
import { registryHost } from '../../../tools/images/registries.ts';

const read = (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), 'utf8');

t.test('the registry of an image is the host in its name, or Docker Hub', async (t) => {
  for (const [image, host] of [
    ['debian:12.15-slim', 'registry-1.docker.io'],
    ['docker.io/library/debian:12.15-slim', 'registry-1.docker.io'],
    ['someone/debian:12', 'registry-1.docker.io'],
    ['registry.example:5000/debian:12', 'registry.example:5000'],
    ['ghcr.io/someone/debian', 'ghcr.io'],
  ] as const) {
    t.equal(registryHost(image), host, image);
  }
});

t.test('each builder gets arguments, secrets and names in its own words', async (t) => {
  const build = { containerfile: 'C', context: '.', image: 'i:1', args: { A: 'b c' }, secrets: { ca: '/ca' } };
  const rest = ['-f', 'C', '-t', 'i:1', '--build-arg', 'A=b c', '--secret', 'id=ca,src=/ca', '.'];
  t.same(buildArgs('podman', build), ['build', '--layers', ...rest]);
  t.same(buildArgs('docker', build), ['buildx', 'build', '--load', ...rest]);
  t.same(saveArgs('buildah', 'i:1', '/f'), ['push', 'i:1', 'oci-archive:/f:i:1']);
  t.same(saveArgs('podman', 'i:1', '/f'), ['save', '--format', 'oci-archive', '-o', '/f', 'i:1']);
  t.same(existsArgs('docker', 'i:1'), ['image', 'inspect', 'i:1']);
});

t.test(
  'the hash of the inputs changes with a file, its name, and the other inputs, and with nothing else',
  async (t) => {
    const folder = t.testdir({ webhook: { 'a.ts': '1' } });
    for (const source of SOURCES.filter((source) => source.includes('.') || source === 'LICENSE')) {
      await mkdir(new URL('.', `file://${folder}/${source}`), { recursive: true });
      await writeFile(`${folder}/${source}`, source);
    }
    for (const name of ['init-image', 'lib', 'node-agent']) await mkdir(`${folder}/${name}`);
    const first = await hashInputs(folder, ['args']);
    await writeFile(`${folder}/unrelated`, 'x');
    t.equal(await hashInputs(folder, ['args']), first);
    t.not(await hashInputs(folder, ['other args']), first);
    await writeFile(`${folder}/webhook/a.ts`, '2');
    const changed = await hashInputs(folder, ['args']);
    t.not(changed, first);
    await writeFile(`${folder}/webhook/b.ts`, '');
    t.not(await hashInputs(folder, ['args']), changed);
  },
);

t.test('what builders may read is what the hash covers', async (t) => {
  const allowed = [...(await read('.dockerignore')).matchAll(/^!(.*)$/gm)].map(([, path]) => path);
  t.same(allowed.sort(), [...SOURCES].sort());
});

t.test('every Containerfile stands on the same pinned images, and Node is the version that is tested', async (t) => {
  const { devDependencies } = JSON.parse(await read('package.json'));
  for (const image of IMAGES) {
    const bases = [...(await read(`${image}/Containerfile`)).matchAll(/^ARG (?:NODE|BASE)_IMAGE=(.*)$/gm)];
    t.same(
      bases.map(([, base]) => base),
      [`docker.io/library/node:${devDependencies.node}-slim`, 'docker.io/library/debian:12.15-slim'],
      image,
    );
  }
});

t.test('the stages before image-root.sh are the same in each, so that they are built once', async (t) => {
  const [first, ...others] = await Promise.all(IMAGES.map((image) => read(`${image}/Containerfile`)));
  const instructions = (text = '') => text.replace(/^#.*\n/gm, '').split('COPY init-image/image-root.sh')[0];
  t.match(instructions(first), /RUN node build.ts[\s\S]*apt-get install[\s\S]*apt-get install/);
  for (const other of others) t.equal(instructions(other), instructions(first));
});

t.test('a search in a root file system does not follow a link out of it', async (t) => {
  const folder = t.testdir({
    machine: { '.wh.a': '' },
    root: { '.wh.b': '', var: t.fixture('symlink', '../machine') },
  });
  t.same(await findIn(`${folder}/root`, '-name', '.wh.*'), [`${folder}/root/.wh.b`]);
});
