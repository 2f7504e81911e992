// Lets the pod network of a cluster that is up set sysctls in each new pod, by the CNI plugin `tuning`.
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { killComponent, startComponent } from './cluster-components.ts';
import { CNI_FILE, cniConfiguration } from './cluster-files.ts';
import type { Layout } from './cluster-layout.ts';
import { buildTuning } from './cluster-programs.ts';
import { readSettings } from './cluster-settings.ts';

/**
 * Chains `tuning` into a node's configuration, or takes it out. containerd is started again, which reads the configuration then;
 * pods that run are left as they are.
 * @param sysctls name to value; none takes the plugin out
 * @throws CodedError CLUSTER_PROGRAM_MISSING, CLUSTER_BUILD_FAILED, CLUSTER_TIMEOUT
 */
export async function tuneNewPods(layout: Layout, sysctls: Record<string, string>): Promise<void> {
  if (Object.keys(sysctls).length > 0) await linkPlugin(layout);
  const file = `${layout.cniConf}/${CNI_FILE}`;
  // containerd takes files with other endings for no configuration.
  await writeFile(`${file}.new`, cniConfiguration(layout.number, sysctls));
  await rename(`${file}.new`, file);
  await killComponent(layout, 'containerd');
  await startComponent(layout, 'containerd');
}

/**
 * Builds the plugin where that has not been done. Tests run where Go's modules cannot be reached: it has to be called before.
 * @returns its path
 * @throws CodedError CLUSTER_PROGRAM_MISSING, CLUSTER_BUILD_FAILED
 */
export function findTuning(): Promise<string> {
  const { cache } = readSettings(process.env);
  return buildTuning(cache, () => undefined, new AbortController().signal);
}

async function linkPlugin({ cni }: Layout): Promise<void> {
  const path = await findTuning();
  await rm(`${cni.bin}/tuning`, { force: true });
  await symlink(path, `${cni.bin}/tuning`);
}
