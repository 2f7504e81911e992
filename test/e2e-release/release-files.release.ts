// A release as `make release` makes it, twice: the same files, signatures that cosign verifies, and images that are what
// their indexes say, on both architectures. Needs no cluster. The second time nothing is kept from the first but the
// programs that make it.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { appendFile, copyFile, mkdir, open, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';
import t, { type Test } from 'tap';
import { IMAGES } from '../../tools/images/image-sources.ts';
import { unpack } from '../../tools/images/oci-archive.ts';
import { checkSums, parseSums, SUMS_FILE } from '../../tools/release/checksums.ts';
import { PLATFORMS, type Platform, readReleaseList } from '../../tools/release/release-list.ts';
import { findReleasePrograms } from '../../tools/release/release-programs.ts';
import { cacheFolder } from '../../tools/release/release-settings.ts';
import { must, run } from '../harness/netns/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIMIT = 1_800_000;
const PASSWORD = 'only for this test';
const REGISTRY = 'registry.example:5000/team/invalid-drop';
const OFFLINE = '--insecure-ignore-tlog';
/** e_machine of ELF (elf.h): EM_X86_64, EM_AARCH64. */
const MACHINE: Record<Platform, number> = { amd64: 62, arm64: 183 };
const EMULATOR = '/usr/bin/qemu-aarch64-static';

const folder = t.testdir({ keys: {}, cache: { 'invalid-drop': {} }, opened: {} });
const tell = (line: string) => t.comment(line);
const cache = cacheFolder(process.env);
const { cosign } = await findReleasePrograms(['cosign', 'helm'], cache, tell, new AbortController().signal);
await must(cosign, ['generate-key-pair'], {
  cwd: `${folder}/keys`,
  env: { ...process.env, COSIGN_PASSWORD: PASSWORD },
});
const publicKey = `${folder}/keys/cosign.pub`;

const settings = {
  ...{ REGISTRY, ALLOW_DIRTY: '1', SIGN: 'required', SOURCE: 'https://git.example/fork' },
  ...{ COSIGN_KEY: `${folder}/keys/cosign.key`, COSIGN_PASSWORD: PASSWORD },
};
const release = (output: string, env: NodeJS.ProcessEnv) =>
  must('make', ['--silent', 'release'], {
    ...{ cwd: ROOT, limit: LIMIT, timeout: LIMIT },
    env: { ...process.env, ...settings, ...env, RELEASE: output },
  });

const [first, second] = [`${folder}/first`, `${folder}/second`];
const printed = await release(first, {});
tell(printed);
const list = await readReleaseList(first);
const sumsOf = async (made: string) => parseSums(await readFile(`${made}/${SUMS_FILE}`, 'utf8'));

t.test('made again with nothing kept, every file is the same', async (t) => {
  await symlink(`${cache}/tools`, `${folder}/cache/invalid-drop/tools`);
  await release(second, { XDG_CACHE_HOME: `${folder}/cache` });
  const sums = await sumsOf(first);
  t.same(Object.fromEntries(await sumsOf(second)), Object.fromEntries(sums));
  for (const name of ['install.yaml', 'images/webhook.oci.tar', `invalid-drop-${list.version}.tgz`, 'release.json'])
    t.ok(sums.has(name), name);
});

t.test('the sums are those of the files, and cosign verifies them; a changed file is refused', async (t) => {
  await checkSums(first);
  const verify = (key: string) =>
    run(cosign, [
      'verify-blob',
      '--key',
      key,
      OFFLINE,
      '--bundle',
      `${second}/${SUMS_FILE}.sigstore.json`,
      `${second}/${SUMS_FILE}`,
    ]);
  t.equal((await verify(publicKey)).exitCode, 0);
  await appendFile(`${second}/install.yaml`, '# changed\n');
  await t.rejects(checkSums(second), { code: 'RELEASE_ALTERED', message: /^install\.yaml has SHA-256/ });
  await must('sed', ['-i', 's/^./0/', `${second}/${SUMS_FILE}`]);
  t.not((await verify(publicKey)).exitCode, 0, 'sums that were changed too');
});

t.test('cosign verifies the provenance for each file, and for no other', async (t) => {
  const bundle = `${first}/${list.provenance}.sigstore.json`;
  const verify = (file: string) =>
    run(cosign, [
      'verify-blob-attestation',
      '--key',
      publicKey,
      OFFLINE,
      '--type',
      'slsaprovenance1',
      '--bundle',
      bundle,
      file,
    ]);
  for (const file of ['release.json', 'images/init-image.oci.tar', 'install-node.yaml'])
    t.equal((await verify(`${first}/${file}`)).exitCode, 0, file);
  await writeFile(`${folder}/other`, 'other');
  t.not((await verify(`${folder}/other`)).exitCode, 0);
  const statement = JSON.parse(await readFile(`${first}/${list.provenance}`, 'utf8'));
  const digests = statement.subject.map(({ digest }: { digest: { sha256: string } }) => `sha256:${digest.sha256}`);
  for (const { digest, platforms } of list.images)
    for (const each of [digest, platforms.amd64.digest, platforms.arm64.digest]) t.ok(digests.includes(each));
});

t.test(
  'install files and chart have this registry, these digests and this source, and nothing of the tree',
  async (t) => {
    await must('tar', ['-xzf', `${first}/${list.chart}`, '-C', `${folder}/opened`]);
    const chart = `${folder}/opened/invalid-drop`;
    const texts = [`${chart}/values.yaml`, `${chart}/Chart.yaml`];
    for (const entry of await readdir(first)) if (entry.endsWith('.yaml')) texts.push(`${first}/${entry}`);
    t.equal(texts.length, 8, 'two of the chart, five to install, and that of krew');
    for (const path of texts) {
      const text = await readFile(path, 'utf8');
      t.notMatch(text, /localhost\/invalid-drop|git\.example\/invalid-drop/, path);
      if (path.includes('install')) t.match(text, `${REGISTRY}/webhook@${digestOf('webhook')}`, path);
    }
    const runbook = `runbook_url: https://git.example/fork/blob/v${list.version}/docs/runbook.md#`;
    t.match(await readFile(`${first}/install-monitoring.yaml`, 'utf8'), runbook);
    t.match(await readFile(`${first}/install-node.yaml`, 'utf8'), `${REGISTRY}/node-agent@${digestOf('node-agent')}`);
    const values = await readFile(`${chart}/values.yaml`, 'utf8');
    for (const name of IMAGES) t.match(values, digestOf(name), name);
  },
);

const digestOf = (name: string) => list.images.find((image) => image.name === name)?.digest ?? 'none';

interface Descriptor {
  digest: string;
  size: number;
  platform?: { architecture: Platform };
}

for (const { name, archive, digest, platforms } of list.images) {
  t.test(`${name}: an index of both architectures, of which every digest is right`, async (t) => {
    const layout = `${folder}/opened/${name}`;
    await mkdir(layout);
    await must('tar', ['-xf', `${first}/${archive}`, '-C', layout], { limit: LIMIT });
    const blob = (digest: string) => `${layout}/blobs/sha256/${digest.replace('sha256:', '')}`;
    const json = async (digest: string) => JSON.parse(await readFile(blob(digest), 'utf8'));
    for (const entry of await readdir(`${layout}/blobs/sha256`))
      t.equal(await hashOf(`${layout}/blobs/sha256/${entry}`, false), entry);
    const [only] = JSON.parse(await readFile(`${layout}/index.json`, 'utf8')).manifests as Descriptor[];
    t.equal(only?.digest, digest);
    const manifests = (await json(digest)).manifests as Descriptor[];
    t.same(
      manifests.map(({ platform }) => platform?.architecture),
      PLATFORMS,
    );
    for (const { digest, platform } of manifests) {
      const architecture = platform?.architecture ?? 'amd64';
      t.equal(digest, platforms[architecture].digest);
      const manifest = await json(digest);
      const config = await json(manifest.config.digest);
      t.equal(config.architecture, architecture);
      const layers = manifest.layers as Descriptor[];
      const pulled = layers.reduce((sum, { size }) => sum + size, 0);
      t.ok(pulled <= 45e6, `${architecture}: ${(pulled / 1e6).toFixed(1)} MB to pull, at most 45`);
      const root = `${layout}/root-${architecture}`;
      await mkdir(root);
      for (const [number, layer] of layers.entries()) {
        t.equal(`sha256:${await hashOf(blob(layer.digest), true)}`, config.rootfs.diff_ids[number]);
        await must('tar', ['-xzf', blob(layer.digest), '-C', root], { limit: LIMIT });
      }
      await checkPrograms(t, root, architecture);
    }
  });

  t.test(`${name}: on this architecture the same files as the image that a builder makes`, async (t) => {
    const { root } = await unpack(`${ROOT}.run/images/${name}.oci.tar`, `${folder}/built-${name}`);
    const own = `${folder}/opened/${name}/root-${process.arch === 'arm64' ? 'arm64' : 'amd64'}`;
    const files = async (root: string) =>
      (await must('find', ['.', '-printf', '%P %y %m %l\n'], { cwd: root })).split('\n').sort();
    t.same(await files(own), await files(root));
  });
}

async function hashOf(file: string, unzipped: boolean): Promise<string> {
  const hash = createHash('sha256');
  if (unzipped) await pipeline(createReadStream(file), createGunzip(), hash);
  else await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Every program and library is of the architecture, and has the libraries that it needs. */
async function checkPrograms(t: Test, root: string, platform: Platform): Promise<void> {
  // Not readdir, which follows the link /var/run out of the root.
  const files = (await must('find', [root, '-type', 'f'])).split('\n').filter((path) => path !== '');
  const links = (await must('find', [root, '-type', 'l'])).split('\n');
  const libraries = new Set([...files, ...links].map((path) => path.replace(/^.*\//, '')));
  const wrong: string[] = [];
  let count = 0;
  for (const path of files) {
    if (!(await isElf(path))) continue;
    count++;
    const machine = await machineOf(path);
    if (machine !== MACHINE[platform]) wrong.push(`${path} is of machine ${machine}`);
    const needed = (await must('readelf', ['--dynamic', '--wide', path])).matchAll(/\(NEEDED\).*\[(.+)\]/g);
    for (const [, name = ''] of needed) if (!libraries.has(name)) wrong.push(`${path} needs ${name}`);
  }
  t.same(wrong, []);
  t.ok(count > 5, `${count} programs and libraries`);
}

async function readStart(path: string, bytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    return (await file.read(Buffer.alloc(bytes), 0, bytes, 0)).buffer;
  } finally {
    await file.close();
  }
}

const isElf = async (path: string) => (await readStart(path, 4)).equals(Buffer.from('\x7fELF', 'latin1'));
/** e_machine stands at byte 18; both architectures are little-endian. */
const machineOf = async (path: string) => (await readStart(path, 20)).readUInt16LE(18);

t.test('the self-contained programs are of their architecture', async (t) => {
  for (const platform of PLATFORMS)
    t.equal(await machineOf(`${first}/kubectl-invalid_drop-linux-${platform}`), MACHINE[platform], platform);
});

t.test('the programs of the arm64 images start, under emulation', async (t) => {
  for (const [name, program] of [
    ['init-image', 'check.js'],
    ['init-image', 'install.js'],
    ['webhook', 'webhook.js'],
    ['node-agent', 'agent.js'],
  ] as const) {
    const root = `${folder}/opened/${name}/root-arm64`;
    await copyFile(EMULATOR, `${root}/qemu`);
    // Without what tap tells every Node.
    const args = [root, '/qemu', '-U', 'NODE_OPTIONS', '/usr/local/bin/node', `/opt/invalid-drop/${program}`, '--help'];
    t.match(await must('chroot', args, { limit: 120_000 }), /--/, program);
  }
  const root = `${folder}/opened/init-image/root-arm64`;
  const version = await must('chroot', [root, '/qemu', '/usr/sbin/iptables-legacy', '--version']);
  t.match(version, /^iptables v1\.\d+\.\d+ \(legacy\)/);
});
