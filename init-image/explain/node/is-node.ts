// Whether this is the node's own network namespace, with all its processes in sight: there is no pod to look at then.
import { readProcFile } from '../../../lib/netfilter/proc.ts';
import { namespaceOf } from './node-namespaces.ts';

/** True in `kubectl debug node/NAME`: process 2 is the kernel's thread of that name only outside of pid namespaces. */
export function isOnNode(): boolean {
  const own = namespaceOf('self');
  return readProcFile('/proc/2/comm')?.trim() === 'kthreadd' && own !== undefined && own === namespaceOf('1');
}
