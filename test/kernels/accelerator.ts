// Whether KVM works here. That /dev/kvm is there says little: nested in another machine it may hang.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { qemuArgs } from './boot.ts';

/** Milliseconds in which a kernel without a root file system panics, several times over. */
const LIMIT = 5000;

/**
 * Boots a kernel with no file system under KVM: where KVM works it has panicked, and ended, within seconds.
 * @param image any kernel
 */
export function chooseAccelerator(image: string): 'kvm' | 'tcg' {
  if (!existsSync('/dev/kvm')) return 'tcg';
  const { stdout } = spawnSync('qemu-system-x86_64', qemuArgs({ image, accelerator: 'kvm' }), {
    timeout: LIMIT,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  return stdout?.includes('Kernel panic') ? 'kvm' : 'tcg';
}
