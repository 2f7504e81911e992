import t from 'tap';
import { qemuCommand } from './boot.ts';
import { chooseKernels } from './kernels.ts';
import { majorVersion } from './qemu.ts';

const names = (wanted: string) => chooseKernels(wanted).map(({ name }) => name);

t.test('all kernels are those of amd64; arm64 is run where it is named', async (t) => {
  t.same(names('all'), ['5.10', '6.1', '6.12']);
  t.same(names('6.1'), ['6.1']);
  t.same(names('arm64'), ['arm64']);
});

t.test('commits take the kernels of amd64 in turn', async (t) => {
  const chosen = ['00000000', '00000001', '00000002', '00000003'].map((hash) =>
    chooseKernels('turn', `ffffffff${hash}5c1e`),
  );
  t.same(
    chosen.map((kernels) => kernels.map(({ name }) => name)),
    [['5.10'], ['6.1'], ['6.12'], ['5.10']],
  );
});

t.test('each architecture has its own console, and qemu its own firmware', async (t) => {
  const qemu = { program: '/cache/qemu', data: ['/cache/share', '/usr/share/seabios'] };
  const [amd64, arm64] = (['amd64', 'arm64'] as const).map((architecture) =>
    qemuCommand({ qemu, architecture, image: '/vmlinuz', accelerator: 'tcg' }),
  );
  t.same(amd64?.slice(0, 5), ['/cache/qemu', '-L', '/cache/share', '-L', '/usr/share/seabios']);
  t.match(amd64?.at(-1), /^console=ttyS0 .*panic=-1/);
  t.match(arm64?.at(-1), /^console=ttyAMA0 .*panic=-1/);
});

t.test('the version of qemu is read from what it prints', async (t) => {
  t.equal(majorVersion('QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright'), 7);
  t.equal(majorVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n'), 10);
  t.equal(majorVersion(''), 0, 'a program that is not there prints nothing');
});
