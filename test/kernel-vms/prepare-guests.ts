// What guests need but the project: kernels, Debian with Node, qemu. Fetched or made once, and kept in the cache.
import { fileURLToPath } from 'node:url';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { chooseAccelerator } from './accelerator.ts';
import { makeBase } from './guest.ts';
import { fetchKernel, type KernelFiles } from './kernel-package.ts';
import type { Kernel } from './kernels.ts';
import { nodeFor } from './node-binary.ts';
import { findQemu } from './qemu.ts';
import type { Run } from './run-kernel.ts';

const OWN_NODE = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));

export interface Prepared {
  machine: Pick<Run, 'architecture' | 'qemu' | 'base' | 'accelerator'>;
  /** In the order of the kernels. */
  files: KernelFiles[];
}

/** @param kernels at least one, all of one architecture */
export async function prepare(kernels: Kernel[], env: NodeJS.ProcessEnv): Promise<Prepared> {
  const cache = `${readSettings(env).cache}/kernels`;
  const files: KernelFiles[] = [];
  for (const kernel of kernels) files.push(await fetchKernel(cache, kernel));
  const { architecture = 'amd64' } = kernels[0] ?? {};
  const node = await nodeFor(cache, architecture, OWN_NODE, process.version);
  const base = await makeBase(cache, architecture, node, process.version);
  const qemu = await findQemu(cache, architecture);
  const accelerator = chooseAccelerator(qemu, architecture, files[0]?.image ?? '');
  return { machine: { architecture, qemu, base, accelerator }, files };
}
