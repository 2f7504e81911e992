// What the watch of resets needs to know of each pod that the agent guards, or is about to guard.

/** The network namespace of a pod. */
export interface WatchedNamespace {
  /** The namespace's identity, its inode number: a pod may get another namespace. */
  id: string;
  /** The pod's namespace in Kubernetes, and its name. */
  namespace: string;
  pod: string;
  /** Addresses of the pod, as far as they are known; those of its interfaces are read as well. */
  addresses: string[];
  /**
   * Path of a file of the namespace's /proc/net, such as `net/snmp` of a process that runs in it.
   * @throws where the namespace cannot be seen now, for instance while no process of ours is in it
   */
  netPath(file: string): string;
  guard: WatchedGuard;
}

/** What the guard of the pod says now. */
export interface WatchedGuard {
  /** Whether INVALID packets are certain to be dropped. */
  guarded: boolean;
  /** How often the guard has found the rule gone: it may be back before anybody has seen the pod unguarded. */
  drift: number;
  /** One line: why they are not, or that they are. */
  reason: string;
}
