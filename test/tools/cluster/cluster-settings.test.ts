import t from 'tap';
import { readSettings } from '../../../tools/cluster/cluster-settings.ts';

t.test('nothing has to be set', async (t) => {
  t.match(readSettings({ HOME: '/home/me', PATH: '/bin:relative:/usr/bin' }), {
    name: 'invalid-drop',
    nodes: 1,
    userNamespaces: false,
    kubeProxyMode: 'nftables',
    beLiberal: false,
    assets: '',
    path: ['/bin', '/usr/bin'],
    cache: '/home/me/.cache/invalid-drop',
  });
});

t.test('each variable is read', async (t) => {
  const env = { CLUSTER: 'two', KUBE_PROXY_MODE: 'iptables', KUBE_PROXY_BE_LIBERAL: 'true', KUBEBUILDER_ASSETS: '/a' };
  t.match(readSettings({ ...env, NODES: '2', USER_NAMESPACES: 'true', XDG_CACHE_HOME: '/cache' }), {
    name: 'two',
    nodes: 2,
    userNamespaces: true,
    kubeProxyMode: 'iptables',
    beLiberal: true,
    assets: '/a',
    cache: '/cache/invalid-drop',
  });
});

t.test('a name that is no single directory is refused', async (t) => {
  for (const name of ['../etc', 'a/b', 'A', '-a', 'a'.repeat(32)]) {
    t.throws(() => readSettings({ CLUSTER: name }), { code: 'OPTION_INVALID', message: name });
  }
});

t.test('a number of nodes that have no addresses is refused', async (t) => {
  for (const nodes of ['0', '5', '1.5', 'two']) {
    t.throws(() => readSettings({ NODES: nodes }), { code: 'OPTION_INVALID', message: nodes });
  }
});
