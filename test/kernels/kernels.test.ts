import t from 'tap';
import { qemuCommand } from './boot.ts';
import { chooseKernels } from './kernels.ts';
import { updatePage } from './table.ts';

const names = (wanted: string) => chooseKernels(wanted).map(({ name }) => name);

t.test('all kernels are those of amd64; arm64 is run where it is named', async (t) => {
  t.same(names('all'), ['5.10', '6.1', '6.12']);
  t.same(names('6.1'), ['6.1']);
  t.same(names('arm64'), ['arm64']);
});

t.test('each architecture has its own qemu and console', async (t) => {
  const [amd64, arm64] = (['amd64', 'arm64'] as const).map((architecture) =>
    qemuCommand({ architecture, image: '/vmlinuz', accelerator: 'tcg' }),
  );
  t.equal(amd64?.[0], 'qemu-system-x86_64');
  t.match(amd64?.at(-1), /^console=ttyS0 .*panic=-1/);
  t.equal(arm64?.[0], 'qemu-system-aarch64');
  t.match(arm64?.at(-1), /^console=ttyAMA0 .*panic=-1/);
});

t.test('the table has one column a series, which arm64 shares', async (t) => {
  const page = updatePage('<!-- kinds -->\n<!-- end -->', []);
  t.match(page, '| stray segment | Linux 5.10 | Linux 6.1 | Linux 6.12 |\n');
});
