// Changes how kube-proxy works on a cluster that is up.
import { writeFile } from 'node:fs/promises';
import { must } from '../../test/harness/netns/processes.ts';
import { errors } from './cluster-errors.ts';
import type { Settings } from './cluster-settings.ts';
import { startComponent, stopComponent } from './component.ts';
import { enterNetwork } from './enter.ts';
import { kubeProxyConfiguration } from './files/kube-proxy-config.ts';
import type { Layout } from './layout.ts';
import { until } from './wait-until.ts';

const LIBERAL = 'net.netfilter.nf_conntrack_tcp_be_liberal';
/** Its rule against INVALID packets, in iptables mode (pkg/proxy/iptables/proxier.go). */
const DROP = /^-A KUBE-FORWARD .*--ctstate INVALID .*-j DROP$/m;
const SYNC_LIMIT = 60_000;

type Mode = Pick<Settings, 'kubeProxyMode' | 'beLiberal'>;

/**
 * Starts it anew with these settings, which take away what the other mode had written, and waits for the rules: it says
 * that it serves before it has written them.
 * @throws CodedError CLUSTER_TIMEOUT
 */
export async function reconfigureKubeProxy(layout: Layout, settings: Mode): Promise<void> {
  await stopComponent(layout, 'kube-proxy');
  await writeFile(`${layout.files}/kube-proxy.json`, kubeProxyConfiguration(layout, settings));
  // It sets the switch, and leaves it set.
  await onNode(layout, 'sysctl', '-q', '-w', `${LIBERAL}=0`);
  await startComponent(layout, 'kube-proxy');
  if (await until(() => isInForce(layout, settings), SYNC_LIMIT)) return;
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
