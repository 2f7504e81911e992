// Whether KVM works here. That /dev/kvm is there says little: nested in another machine it may hang.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { qemuCommand } from './boot.ts';
import type { Kernel } from './kernels.ts';
import type { Qemu } from './qemu.ts';

/** Milliseconds in which a kernel without a root file system panics, several times over. */
const LIMIT = 5000;

/** Debian's names of architectures, by Node's. */
const OWN: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Boots a kernel with no file system under KVM: where KVM works it has panicked, and ended, within seconds.
 * @param image any kernel of that architecture
 */
export function chooseAccelerator(qemu: Qemu, architecture: Kernel['architecture'], image: string): 'kvm' | 'tcg' {
  if (OWN[process.arch] !== architecture || !existsSync('/dev/kvm')) return 'tcg';
  const [command, ...args] = qemuCommand({ qemu, architecture, image, accelerator: 'kvm' });
  const { stdout } = spawnSync(command, args, {
    timeout: LIMIT,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  return stdout?.includes('Kernel panic') ? 'kvm' : 'tcg';
}
