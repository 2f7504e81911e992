// Boots guests that panic and guests that hang: their tests fail by name, within the limit, with the end of the
// console.

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import t, { type Test } from 'tap';
import { packFolder } from './guest.ts';
import { chooseKernels, type KernelFiles } from './kernels.ts';
import { ownProcessors, Processors } from './machine-turns.ts';
import { prepare } from './prepare-guests.ts';
import { runKernel } from './run-kernel.ts';

const FILES = ['test/netns/first.test.ts', 'test/netns/second.test.ts'];
/** `whole` is far more than the slowest machine needs to boot; a machine that hangs is ended after `silence`. */
const LIMITS = { whole: 240_000, silence: 60_000 };

/** A first process that reports half of a test, then fails. */
const init = (trouble: string) => `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
modprobe --all --quiet virtio_pci virtio_console
until [ -c /dev/vport0p1 ] && (: > /dev/vport0p1) 2> /dev/null; do sleep 0.1; done
cat > /dev/vport0p1 << END
TAP version 14
# Subtest: ${FILES[0]}
    # Subtest: it holds
        ok 1 - the first point
END
echo 'the last words on the console'
${trouble}
`;

const TROUBLES = [
  { name: 'panics', trouble: 'echo c > /proc/sysrq-trigger', why: 'the kernel panicked', console: 'Kernel panic' },
  {
    name: 'hangs',
    trouble: 'sleep 1000',
    why: `the guest reported nothing for ${LIMITS.silence / 1000} s`,
    console: 'the last words on the console',
  },
  { name: 'ends early', trouble: 'echo b > /proc/sysrq-trigger', why: 'the machine ended', console: 'last words' },
];

// Before the tests: to fetch a kernel takes longer than a test may.
const { machine, files } = await prepare(chooseKernels('6.1'), process.env);
const [kernel] = files;
if (!kernel) throw new Error('no kernel');

const processors = ownProcessors();

/** Runs a guest with the trouble, and gives its report. */
async function runTrouble(t: Test, trouble: string, shared: Processors) {
  const folder = await mkdtemp(`${tmpdir()}/invalid-drop-trouble-`);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(`${folder}/tree`);
  await writeFile(`${folder}/tree/init`, init(trouble));
  await chmod(`${folder}/tree/init`, 0o755);
  await packFolder(`${folder}/tree`, `${folder}/project.cpio`);
  const lines: string[] = [];
  const project = `${folder}/project.cpio`;
  const run = { ...machine, files: kernel as KernelFiles, project, tests: FILES, limits: LIMITS, processors: shared };
  const { ok } = await runKernel(run, `${folder}/work`, (line) => lines.push(line));
  return { ok, lines, points: lines.filter((line) => /^ *(not )?ok /.test(line)) };
}

t.jobs = TROUBLES.length + 1;
for (const { name, trouble, why, console } of TROUBLES) {
  t.test(`a guest that ${name} fails its tests by name`, { buffered: true }, async (t) => {
    const { ok, lines, points } = await runTrouble(t, trouble, processors);
    t.equal(ok, false);
    t.strictSame(points, [
      '        ok 1 - the first point',
      `        not ok 2 - ${why}`,
      `    not ok 1 - ${kernel.release}: it holds`,
      `not ok 1 - ${kernel.release}: ${FILES[0]}`,
      `not ok 2 - ${kernel.release}: ${FILES[1]}`,
    ]);
    t.match(lines.join('\n'), console);
  });
}

t.test('a guest whose turn never comes stands still', { buffered: true }, async (t) => {
  const { points } = await runTrouble(t, 'echo b > /proc/sysrq-trigger', new Processors(0));
  t.strictSame(
    points,
    FILES.map((file, index) => `not ok ${index + 1} - ${kernel.release}: ${file}`),
  );
});
