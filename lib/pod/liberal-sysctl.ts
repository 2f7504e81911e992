// The sysctl that makes the conntrack of a pod liberal, as a Pod sets it. A CNI plugin may set it as well; no Pod shows that.
import { type JsonObject, objectsAt } from '../json.ts';

/** Such a pod has no segment that is INVALID for its numbers (tcp_in_window, net/netfilter/nf_conntrack_proto_tcp.c). */
export const LIBERAL_SYSCTL = 'net.netfilter.nf_conntrack_tcp_be_liberal';

/**
 * @param spec of a Pod
 * @returns whether the kubelet sets the sysctl to 1. Names may have slashes for dots. On a node that does not allow it, which is the
 *   default, such a pod fails at once (SysctlForbidden).
 */
export function setsLiberalConntrack(spec: JsonObject): boolean {
  const sysctls = objectsAt(spec, 'securityContext', 'sysctls');
  return sysctls.some(({ name, value }) => String(name).replaceAll('/', '.') === LIBERAL_SYSCTL && value === '1');
}
