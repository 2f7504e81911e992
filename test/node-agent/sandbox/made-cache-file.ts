// Files of the CNI library's result cache, as libcni writes them: cachedInfo of libcni/api.go.

interface CacheFile {
  containerId?: string;
  ifName?: string;
  networkName?: string;
  /** Null for a runtime that does not pass it on. */
  uid?: string | null;
  namespace?: string;
  name?: string;
  /** Base name of the namespace's file. */
  netns?: string;
  addresses?: string[];
}

/** The text of a file, for a pod with one interface. */
export function cacheFile(file: CacheFile = {}): string {
  const { containerId = '5f0c1d', ifName = 'eth0', networkName = 'cluster', netns = 'cni-1', addresses = [] } = file;
  const { uid = '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01', namespace = 'storage', name = 'store-0' } = file;
  const path = `/var/run/netns/${netns}`;
  const names = [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', namespace],
    ['K8S_POD_NAME', name],
    ['K8S_POD_INFRA_CONTAINER_ID', containerId],
  ];
  return JSON.stringify({
    kind: 'cniCacheV1',
    containerId,
    config: Buffer.from('{"cniVersion":"1.0.0","name":"cluster","plugins":[{"type":"bridge"}]}').toString('base64'),
    ifName,
    networkName,
    netns: path,
    cniArgs: uid === null ? names : [...names, ['K8S_POD_UID', uid]],
    result: {
      cniVersion: '1.0.0',
      interfaces: [
        { mac: '56:da:7f:ba:15:26', name: 'cni0' },
        { mac: '6a:74:c9:11:94:ef', name: ifName, sandbox: path },
      ],
      ips: addresses.map((address) => ({ address: `${address}/${address.includes(':') ? 64 : 24}`, interface: 1 })),
    },
  });
}
