// Rules as Kuma 2.14.3 makes them, as input for its iptables-restore --noflush, rebuilt from github.com/kumahq/kuma, tag
// v2.14.3: pkg/transparentproxy/iptables/builder/*.go and test/transparentproxy/testdata/*.golden. Its programs are no Go
// module that can be had. Built-in DNS is on, as by default on Kubernetes.
import { CHECKER_PORT } from '../../../lib/contract.ts';
import { MESHES } from '../../../lib/mesh/meshes.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';

const { inboundPort, proxyUid: UID } = MESHES.kuma;
const OUTBOUND_PORT = 15_001;
const DNS_PORT = 15_053;

const LOCAL = {
  ipv4: { passthrough: '127.0.0.6/32', loopback: '127.0.0.1/32' },
  ipv6: { passthrough: '::6/128', loopback: '::1/128' },
};

/** The table's lines; each rule has a comment with that prefix, before its matches. */
function table(name: string, chains: string[], rules: [place: string, rule: string, comment: string][]): string[] {
  const lines = rules.map(
    ([place, rule, comment]) => `${place} -m comment --comment "kuma/mesh/transparent/proxy/${comment}" ${rule}`,
  );
  return [`* ${name}`, ...chains.map((chain) => `-N ${chain}`), ...lines, 'COMMIT'];
}

/** What splits DNS traffic into two conntrack zones. */
const RAW = table(
  'raw',
  [],
  [
    ['-A PREROUTING', '-p udp --sport 53 -j CT --zone 1', 'assign connection tracking zone 1 to all DNS responses'],
    [
      '-A OUTPUT',
      `-p udp --dport 53 -m owner --uid-owner ${UID} -j CT --zone 1`,
      `assign connection tracking zone 1 to DNS traffic from the kuma-dp user (UID ${UID})`,
    ],
    [
      '-A OUTPUT',
      `-p udp --sport ${DNS_PORT} -m owner --uid-owner ${UID} -j CT --zone 2`,
      'assign connection tracking zone 2 to DNS responses from the kuma-dp DNS proxy',
    ],
    ['-A OUTPUT', '-p udp --dport 53 -j CT --zone 2', 'assign connection tracking zone 2 to all DNS requests'],
  ],
);

/** The option dropInvalidPackets (annotation traffic.kuma.io/drop-invalid-packets), off by default. */
const DROP_INVALID = table(
  'mangle',
  [],
  [
    [
      '-A PREROUTING',
      '-m conntrack --ctstate INVALID -j DROP',
      'drop packets in the INVALID state to prevent potential issues with malformed or out-of-order packets',
    ],
  ],
);

function natTable(family: Family, excluded: string[]): string[] {
  const { passthrough, loopback } = LOCAL[family];
  const [IN, IN_REDIRECT] = ['KUMA_MESH_INBOUND', 'KUMA_MESH_INBOUND_REDIRECT'];
  const [OUT, OUT_REDIRECT] = ['KUMA_MESH_OUTBOUND', 'KUMA_MESH_OUTBOUND_REDIRECT'];
  const redirect = (chain: string, port: number): [string, string, string] => [
    `-A ${chain}`,
    `-p tcp -j REDIRECT --to-ports ${port}`,
    `redirect TCP traffic to envoy (port ${port})`,
  ];
  return table(
    'nat',
    [IN, OUT, IN_REDIRECT, OUT_REDIRECT],
    [
      ['-A PREROUTING', `-p tcp -j ${IN}`, 'redirect inbound TCP traffic to our custom chain for processing'],
      [
        '-I OUTPUT 1',
        `-p udp --dport 53 -m owner --uid-owner ${UID} -j RETURN`,
        'return early for DNS traffic from kuma-dp',
      ],
      [
        '-I OUTPUT 2',
        `-p udp --dport 53 -j REDIRECT --to-ports ${DNS_PORT}`,
        `redirect all DNS requests to the kuma-dp DNS proxy (listening on port ${DNS_PORT})`,
      ],
      [
        '-A OUTPUT',
        `-p tcp --dport 53 -m owner ! --uid-owner ${UID} -j RETURN`,
        `allow applications to perform DNS queries over TCP to port 53 without mesh redirection (only traffic not owned by UID ${UID} (kuma-dp user))`,
      ],
      ['-A OUTPUT', `-p tcp -j ${OUT}`, 'redirect outbound TCP traffic to our custom chain for processing'],
      ...excluded.map((port): [string, string, string] => [
        `-A ${IN}`,
        `-p tcp --dport ${port} -j RETURN`,
        `exclude inbound traffic from port ${port} from redirection`,
      ]),
      [`-A ${IN}`, `-p tcp -j ${IN_REDIRECT}`, 'redirect all inbound traffic to the custom chain for processing'],
      [
        `-A ${OUT}`,
        `-s ${passthrough} -o lo -j RETURN`,
        `prevent traffic loops by ensuring traffic from the sidecar proxy (using ${passthrough}) to loopback interface is not redirected again`,
      ],
      [
        `-A ${OUT}`,
        `-p tcp -o lo ! -d ${loopback} -m owner --uid-owner ${UID} -j ${IN_REDIRECT}`,
        `redirect outbound TCP traffic destined for loopback interface, but not targeting address ${loopback}, and owned by UID ${UID} (kuma-dp user) to ${IN_REDIRECT} chain for proper handling`,
      ],
      [
        `-A ${OUT}`,
        `-p tcp -o lo -m owner ! --uid-owner ${UID} -j RETURN`,
        `return outbound TCP traffic destined for loopback interface, owned by any UID other than ${UID} (kuma-dp user)`,
      ],
      [
        `-A ${OUT}`,
        `-m owner --uid-owner ${UID} -j RETURN`,
        `return outbound traffic owned by UID ${UID} (kuma-dp user)`,
      ],
      [
        `-A ${OUT}`,
        `-d ${loopback} -j RETURN`,
        `return traffic destined for localhost (${loopback}) to avoid redirection`,
      ],
      [
        `-A ${OUT}`,
        `-j ${OUT_REDIRECT}`,
        'redirect all other outbound traffic to our custom chain for further processing',
      ],
      redirect(IN_REDIRECT, inboundPort),
      redirect(OUT_REDIRECT, OUTBOUND_PORT),
    ],
  );
}

/**
 * Rules of a family.
 * @param options.dropInvalid whether Kuma drops INVALID packets itself
 * @param options.excluded the pod's annotation traffic.kuma.io/exclude-inbound-ports
 */
export function kumaRules(
  family: Family,
  { dropInvalid = false, excluded = [String(CHECKER_PORT)] }: { dropInvalid?: boolean; excluded?: string[] } = {},
): string {
  return [...RAW, ...natTable(family, excluded), ...(dropInvalid ? DROP_INVALID : []), ''].join('\n');
}
