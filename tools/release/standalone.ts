// `kubectl invalid-drop` as one program for those without Node: Node's own binary, with the bundle in it (Node's documentation,
// "Single executable applications").
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from '../../test/harness/netns/processes.ts';

/** As images and Go name them, and as npm does. */
const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' } as const;
export type StandaloneArch = keyof typeof ARCHITECTURES;

const BUNDLE = fileURLToPath(new URL('../../dist/cli/kubectl-invalid_drop.cjs', import.meta.url));
const DOWNLOAD_LIMIT = 300_000;
const BUILD_LIMIT = 120_000;

/**
 * Needs the bundle (`npm run build`), and npm's registry for another architecture's Node.
 * @param arch of the machine that runs it
 * @param out path of the program; its folder is created
 * @param node that architecture's Node, where there is one already
 * @returns its size in bytes
 */
export async function makeStandalone(arch: StandaloneArch, out: string, node?: string): Promise<number> {
  const work = await mkdtemp(join(tmpdir(), 'invalid-drop-standalone-'));
  try {
    const main = join(work, 'main.cjs');
    // Node compiles it as a function's body, in which no line of an interpreter may stand.
    await writeFile(main, (await readFile(BUNDLE, 'utf8')).replace(/^#!.*\n/, ''));
    const output = join(work, 'program');
    const config = {
      // Without its folder, since the path gets into the program, which has to be the same each time.
      ...{
        main: basename(main),
        output,
        executable: node ?? (await nodeFor(arch, work)),
        disableExperimentalSEAWarning: true,
      },
      // The cache and the snapshot are of the machine that makes them. No option of Node's comes from outside.
      ...{ useSnapshot: false, useCodeCache: false, execArgvExtension: 'none' },
    };
    await writeFile(join(work, 'config.json'), JSON.stringify(config));
    await must(process.execPath, ['--build-sea', join(work, 'config.json')], { cwd: work, limit: BUILD_LIMIT });
    await chmod(output, 0o755);
    await mkdir(join(out, '..'), { recursive: true });
    await must('cp', [output, `${out}.unfinished`], { limit: BUILD_LIMIT });
    await rename(`${out}.unfinished`, out);
    return (await stat(out)).size;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The same version for each architecture: it has to be that of the Node that puts the bundle in. */
async function nodeFor(arch: StandaloneArch, work: string): Promise<string> {
  if (ARCHITECTURES[arch] === process.arch && process.platform === 'linux') return process.execPath;
  const name = `node-linux-${ARCHITECTURES[arch]}@${process.versions.node}`;
  const printed = await must('npm', ['pack', '--silent', `--pack-destination=${work}`, name], {
    limit: DOWNLOAD_LIMIT,
  });
  await must('tar', ['-xzf', printed.trim(), 'package/bin/node'], { cwd: work, limit: DOWNLOAD_LIMIT });
  return join(work, 'package/bin/node');
}

if (import.meta.main) {
  const [arch = '', out = ''] = process.argv.slice(2);
  if (!(arch in ARCHITECTURES) || out === '') {
    process.stderr.write(`Usage: standalone.ts ${Object.keys(ARCHITECTURES).join('|')} FILE\n`);
    process.exitCode = 2;
  } else {
    const bytes = await makeStandalone(arch as StandaloneArch, out);
    process.stdout.write(`${out}, ${(bytes / 1e6).toFixed(1)} MB\n`);
  }
}
