// Configuration of the cluster DNS.
import { type Layout, NETWORK } from '../layout.ts';

/** Answers for cluster.local and the reverse zones; every other name does not exist, for there is no world outside. */
export function corefile(layout: Layout): string {
  return `.:53 {
  bind ${NETWORK.node.ipv4} ${NETWORK.node.ipv6}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${layout.files}/coredns.kubeconfig
    pods insecure
    ttl 5
  }
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
`;
}
