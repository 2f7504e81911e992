// Whose a process is, told without the API server: its cgroup has the pod's UID, and the kubelet's folder of logs has
// NAMESPACE_NAME_UID for each pod (pkg/kubelet/kuberuntime, BuildPodLogsDirectory).

/** The UID in /proc/PID/cgroup, in either form of the kubelet: `pod<uid>` with dashes (cgroupfs) or underscores (systemd). */
export function podUidOf(cgroup: string): string | undefined {
  const [, uid] =
    cgroup.match(/pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./\n]|$)/m) ?? [];
  return uid?.replaceAll('_', '-');
}

/** @param folders names in /var/log/pods; UID to NAMESPACE/NAME, neither of which can hold an underscore */
export function podNames(folders: string[]): Map<string, string> {
  return new Map(
    folders.flatMap((folder): [string, string][] => {
      const [namespace, name, uid] = folder.split('_');
      return namespace && name && uid ? [[uid, `${namespace}/${name}`]] : [];
    }),
  );
}
