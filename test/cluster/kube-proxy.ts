// Changes how kube-proxy works on a cluster that is up.
import { writeFile } from 'node:fs/promises';
import { must } from '../kernel/processes.ts';
import { startComponent, stopComponent } from './component.ts';
import { enterNetwork } from './enter.ts';
import { kubeProxyConfiguration } from './files/kube-proxy.ts';
import type { Layout } from './layout.ts';
import type { Settings } from './settings.ts';

const LIBERAL = 'net.netfilter.nf_conntrack_tcp_be_liberal';

/** Starts it anew with these settings, which take away what the other mode had written. */
export async function reconfigureKubeProxy(
  layout: Layout,
  settings: Pick<Settings, 'kubeProxyMode' | 'beLiberal'>,
): Promise<void> {
  await stopComponent(layout, 'kube-proxy');
  await writeFile(`${layout.files}/kube-proxy.json`, kubeProxyConfiguration(layout, settings));
  // It sets the switch, and leaves it set.
  const [program = '', ...args] = enterNetwork(layout, ['sysctl', '-q', '-w', `${LIBERAL}=0`]);
  await must(program, args);
  await startComponent(layout, 'kube-proxy');
}
