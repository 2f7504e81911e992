// Rules as Linkerd's proxy-init v2.4.9 makes them, rebuilt from github.com/linkerd/linkerd2-proxy-init, tag
// proxy-init/v2.4.9, pkg/iptables/iptables.go: that version is no Go module that can be had. It runs iptables once for each
// rule, and for IPv6 the same again.
import { CHECKER_PORT } from '../../../lib/contract.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';

const { inboundPort, proxyUid } = MESHES.linkerd;
const IN = 'PROXY_INIT_REDIRECT';
const OUT = 'PROXY_INIT_OUTPUT';

const rule = (chain: string, match: string, target: string, comment: string) =>
  `-A ${chain} ${match ? `${match} ` : ''}-j ${target} -m comment --comment proxy-init/${comment}`;

const ignored = (chain: string, ports: string) =>
  rule(chain, `-p tcp --match multiport --dports ${ports}`, 'RETURN', `ignore-port-${ports}`);

/**
 * Rules of either family, as input of iptables-restore and ip6tables-restore, for a pod with the chart's defaults.
 * @param skipped the pod's annotation config.linkerd.io/skip-inbound-ports
 */
export function linkerdRules(skipped = String(CHECKER_PORT)): string {
  return [
    '*nat',
    `:${IN} - [0:0]`,
    ignored(IN, `4190,4191,${skipped}`),
    rule(IN, '-p tcp', `REDIRECT --to-port ${inboundPort}`, 'redirect-all-incoming-to-proxy-port'),
    rule('PREROUTING', '', IN, 'install-proxy-init-prerouting'),
    `:${OUT} - [0:0]`,
    rule(OUT, `-m owner --uid-owner ${proxyUid}`, 'RETURN', 'ignore-proxy-user-id'),
    rule(OUT, '-o lo', 'RETURN', 'ignore-loopback'),
    ignored(OUT, '4567,4568'),
    rule(OUT, '-p tcp', 'REDIRECT --to-port 4140', 'redirect-all-outgoing-to-proxy-port'),
    rule('OUTPUT', '', OUT, 'install-proxy-init-output'),
    'COMMIT',
    '',
  ].join('\n');
}
