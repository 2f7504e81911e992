// Configuration of the cluster DNS.
import { type Layout, NETWORK } from '../layout.ts';

const ADDRESSES = Object.values(NETWORK.node).join(' ');

/** Answers for cluster.local and the reverse zones; every other name does not exist, for there is no world outside. */
export function corefile(layout: Layout): string {
  return `cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
  bind ${ADDRESSES}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${layout.files}/coredns.kubeconfig
    pods insecure
    ttl 5
  }
}
.:53 {
  bind ${ADDRESSES}
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;
}
