// Rules as Istio makes them (tools/istio-iptables, 1.20 to 1.32), as input for iptables-restore or nft.
import { CHECKER_PORT } from '../../../lib/contract.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';

const LOCAL = {
  ipv4: { inbound: '127.0.0.6/32', loopback: '127.0.0.1/32' },
  ipv6: { inbound: '::6/128', loopback: '::1/128' },
};

function ownerRules(flag: 'uid' | 'gid', { loopback }: { loopback: string }): string[] {
  return [
    `-A ISTIO_OUTPUT -o lo ! -d ${loopback} -p tcp ! --dport 15008 -m owner --${flag}-owner 1337 -j ISTIO_IN_REDIRECT`,
    `-A ISTIO_OUTPUT -o lo -m owner ! --${flag}-owner 1337 -j RETURN`,
    `-A ISTIO_OUTPUT -m owner --${flag}-owner 1337 -j RETURN`,
  ];
}

/**
 * REDIRECT mode, the default: inbound TCP goes to the sidecar on 15006.
 * @param excluded the pod's annotation traffic.sidecar.istio.io/excludeInboundPorts
 */
export function redirectRules(family: Family, excluded = String(CHECKER_PORT)): string {
  const local = LOCAL[family];
  return restore(
    'nat',
    ['ISTIO_INBOUND', 'ISTIO_REDIRECT', 'ISTIO_IN_REDIRECT', 'ISTIO_OUTPUT'],
    [
      '-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN',
      '-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
      '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
      '-A PREROUTING -p tcp -j ISTIO_INBOUND',
      ...[...ports(excluded), '15090', '15021', '15020'].map(
        (port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`,
      ),
      '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
      '-A OUTPUT -j ISTIO_OUTPUT',
      `-A ISTIO_OUTPUT -o lo -s ${local.inbound} -j RETURN`,
      ...ownerRules('uid', local),
      ...ownerRules('gid', local),
      `-A ISTIO_OUTPUT -d ${local.loopback} -j RETURN`,
      '-A ISTIO_OUTPUT -j ISTIO_REDIRECT',
    ],
  );
}

/** TPROXY mode, without its rules for policy routing. */
export function tproxyRules(family: Family): string {
  const local = LOCAL[family];
  return restore(
    'mangle',
    ['ISTIO_DIVERT', 'ISTIO_TPROXY', 'ISTIO_INBOUND'],
    [
      '-A ISTIO_DIVERT -j MARK --set-mark 1337',
      '-A ISTIO_DIVERT -j ACCEPT',
      `-A ISTIO_TPROXY ! -d ${local.loopback} -p tcp -j TPROXY --tproxy-mark 1337/0xffffffff --on-port 15006`,
      '-A PREROUTING -p tcp -j ISTIO_INBOUND',
      '-A ISTIO_INBOUND -p tcp -m mark --mark 1337 -j RETURN',
      `-A ISTIO_INBOUND -p tcp -s ${local.inbound} -i lo -j RETURN`,
      '-A ISTIO_INBOUND -p tcp -i lo -m mark ! --mark 1338 -j RETURN',
      ...[15090, 15021, 15020].map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`),
      '-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT',
      '-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY',
      '-A PREROUTING -p tcp -m mark --mark 1337 -j CONNMARK --save-mark',
    ],
  );
}

/** INVALID_DROP of Istio 1.23 and before. */
export const DROP_TO_1_23 = restore('mangle', [], ['-A PREROUTING -m conntrack --ctstate INVALID -j DROP']);

/** INVALID_DROP of Istio 1.24 and later. */
export const DROP_FROM_1_24 = restore(
  'mangle',
  ['ISTIO_DROP'],
  ['-A PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP', '-A ISTIO_DROP -j DROP'],
);

/** INVALID_DROP of Istio's native nftables mode (1.28 and later), for `nft -f`. */
export const DROP_NATIVE = `table inet istio-proxy-mangle {
  chain prerouting {
    type filter hook prerouting priority -150; policy accept;
    meta l4proto tcp ct state invalid counter jump istio-drop
  }
  chain istio-drop {
    counter drop
  }
}
`;

function ports(list: string): string[] {
  return list.split(',').filter((port) => port !== '');
}

function restore(table: string, chains: string[], rules: string[]): string {
  return [`*${table}`, ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join('\n');
}
