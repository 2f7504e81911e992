import { isIP } from 'node:net';
import t from 'tap';
import { componentsOf, readComponent } from '../../../tools/cluster/cluster-components.ts';
import { cniConfiguration } from '../../../tools/cluster/cluster-files.ts';
import { firstNodes, layoutOf, MAX_NODES, NETWORK, networkOf } from '../../../tools/cluster/cluster-layout.ts';

const NODES = firstNodes({ name: 'one' }, MAX_NODES);

t.test('what belongs to a node alone has a name of its own', async (t) => {
  for (const key of [
    'number',
    'nodeName',
    'suffix',
    'netns',
    'netnsFile',
    'nodeCgroup',
    'containerd',
    'cniConf',
    'nodeBin',
    'wholeProc',
  ] as const)
    t.equal(new Set(NODES.map((node) => node[key])).size, MAX_NODES, key);
  for (const place of ['/run', '/var/lib', '/var/log'] as const)
    t.equal(new Set(NODES.map(({ node }) => node[place])).size, MAX_NODES, place);
});

t.test("no node has the namespace of another cluster's", async (t) => {
  t.not(layoutOf('one', 2).netns, layoutOf('one-2').netns);
  t.not(layoutOf('one', 2).nodeCgroup, layoutOf('one-2').nodeCgroup);
});

t.test('add-ons find the pod network at the same paths on every node', async (t) => {
  for (const { cni, cniConf, node } of NODES.slice(1)) {
    t.same(cni, NODES[0]?.cni);
    t.match(node, { [cni.conf]: cniConf });
  }
});

t.test('addresses of nodes and pods are in one network, and no two nodes have the same', async (t) => {
  const all = NODES.flatMap(({ number }) => {
    const { node, range } = networkOf(number);
    return [...Object.values(node), ...(range ? [...range.ipv4, ...range.ipv6] : [])];
  });
  t.equal(new Set(all).size, all.length);
  for (const address of all) {
    t.ok(isIP(address), address);
    t.match(address, /^(10\.244\.|fd10:244::)/);
  }
});

t.test('the first node takes addresses from the beginning, a further one from its part', async (t) => {
  const rangesOf = (number: number) => JSON.parse(cniConfiguration(number)).plugins[0].ipam.ranges;
  t.strictSame(rangesOf(1), [
    [{ subnet: NETWORK.pods.ipv4, gateway: '10.244.0.1' }],
    [{ subnet: NETWORK.pods.ipv6, gateway: 'fd10:244::1' }],
  ]);
  t.match(rangesOf(2), [
    [{ gateway: '10.244.64.1', rangeStart: '10.244.64.2', rangeEnd: '10.244.127.254' }],
    [{ gateway: 'fd10:244::2:1', rangeStart: 'fd10:244::2:2', rangeEnd: 'fd10:244::2:ffff' }],
  ]);
});

t.test('a further node has no control plane', async (t) => {
  t.strictSame(componentsOf(layoutOf('one', 2)), ['containerd', 'kubelet', 'kube-proxy']);
  t.ok(componentsOf(layoutOf('one')).includes('etcd'));
});

t.test('a component is named with its node', async (t) => {
  const named = (text: string) => {
    const found = readComponent(layoutOf('one'), text);
    return found && [found.component, found.node.number];
  };
  t.strictSame(named('kubelet'), ['kubelet', 1]);
  t.strictSame(named('kubelet@2'), ['kubelet', 2]);
  t.strictSame(named('etcd@1'), ['etcd', 1]);
  for (const text of ['etcd@2', 'kubelet@0', 'kubelet@5', 'kubelet@', 'kubelet@2@2', 'kubelet@x', 'nobody', ''])
    t.equal(named(text), undefined, text);
});
