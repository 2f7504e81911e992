// Writes what the components read: configuration, kubeconfigs, certificates, and links to the programs.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeCertificates } from './cluster-certificates.ts';
import { CNI } from './cluster-programs.ts';
import type { Settings } from './cluster-settings.ts';
import { auditPolicy } from './files/audit.ts';
import { cniConfiguration, containerdConfiguration } from './files/containerd.ts';
import { corefile } from './files/coredns.ts';
import { kubeProxyConfiguration } from './files/kube-proxy-config.ts';
import { kubeconfig } from './files/kubeconfig.ts';
import { kubeletConfiguration } from './files/kubelet.ts';
import type { Layout } from './layout.ts';

const CLIENTS = ['kubelet', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'coredns'];

/** @param programs name to path */
export async function writeFiles(layout: Layout, settings: Settings, programs: Map<string, string>): Promise<void> {
  const { bin, cni, files, logs, pids, data } = layout;
  const directories = [bin, logs, pids, data, cni.bin, cni.conf, `${files}/static-pods`];
  for (const directory of directories) await mkdir(directory, { recursive: true });
  for (const [name, path] of programs) await symlink(path, `${bin}/${name}`);
  const kubeconfigs = CLIENTS.map((name): [string, string] => [`${name}.kubeconfig`, credentialsOf(layout, name)]);
  const texts = new Map([
    ['audit-policy.json', auditPolicy()],
    ['containerd.toml', containerdConfiguration(layout)],
    ['Corefile', corefile(layout)],
    ['kube-proxy.json', kubeProxyConfiguration(layout, settings)],
    ['kubelet.json', kubeletConfiguration(layout)],
    ['resolv.conf', ''],
    ...kubeconfigs,
  ]);
  await writeFile(`${cni.conf}/10-cluster.conflist`, cniConfiguration());
  for (const path of CNI) await symlink(path, `${cni.bin}/${basename(path)}`);
  for (const [name, text] of texts) await writeFile(`${files}/${name}`, text);
  await writeFile(layout.kubeconfig, credentialsOf(layout, 'admin'), { mode: 0o600 });
  await writeCertificates(layout);
}

function credentialsOf({ pki }: Layout, party: string): string {
  return kubeconfig({ ca: `${pki}/ca.crt`, cert: `${pki}/${party}.crt`, key: `${pki}/${party}.key` });
}
