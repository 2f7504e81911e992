// Changes how kube-proxy works on a cluster that is up.
import { writeFile } from 'node:fs/promises';
import { LIBERAL_SYSCTL } from '../../lib/pod/liberal-sysctl.ts';
import { must } from '../../test/harness/netns/processes.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import { startComponent, stopComponent } from './cluster-components.ts';
import { errors } from './cluster-errors.ts';
import { kubeProxyConfiguration } from './cluster-files.ts';
import type { Layout } from './cluster-layout.ts';
import { enterNetwork } from './cluster-node.ts';
import type { Settings } from './cluster-settings.ts';

/** Its rule against INVALID packets, in iptables mode (pkg/proxy/iptables/proxier.go). */
const DROP = /^-A KUBE-FORWARD .*--ctstate INVALID .*-j DROP$/m;
const SYNC_LIMIT = 60_000;

type Mode = Pick<Settings, 'kubeProxyMode' | 'beLiberal'>;

/**
 * Restarts a node's kube-proxy with these settings, and waits for its rules: it reports that it serves before it has written
 * them. It removes the rules of the other mode itself.
 * @throws CodedError CLUSTER_TIMEOUT
 */
export async function reconfigureKubeProxy(layout: Layout, settings: Mode): Promise<void> {
  await stopComponent(layout, 'kube-proxy');
  await writeFile(`${layout.files}/kube-proxy${layout.suffix}.json`, kubeProxyConfiguration(layout, settings));
  // kube-proxy sets it to 1, and never back.
  await onNode(layout, 'sysctl', '-q', '-w', `${LIBERAL_SYSCTL}=0`);
  await startComponent(layout, 'kube-proxy');
  if (await waitUntil(() => isInForce(layout, settings), SYNC_LIMIT)) return;
  throw errors.CLUSTER_TIMEOUT('the rules of kube-proxy', SYNC_LIMIT, layout.logs);
}

async function isInForce(layout: Layout, { kubeProxyMode, beLiberal }: Mode): Promise<boolean> {
  const rules = await onNode(layout, 'iptables-save', '-t', 'filter');
  const drops = DROP.test(rules);
  if (kubeProxyMode === 'nftables')
    return !drops && /^table ip kube-proxy$/m.test(await onNode(layout, 'nft', 'list', 'tables'));
  return rules.includes('-A KUBE-FORWARD') && drops !== beLiberal;
}

function onNode(layout: Layout, ...command: string[]): Promise<string> {
  const [program = '', ...args] = enterNetwork(layout, command);
  return must(program, args);
}
