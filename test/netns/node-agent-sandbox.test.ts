// Pods' network namespaces are found among real ones, by the files of the CNI library's cache or by addresses.
import { mkdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import {
  INITIAL_NAMESPACE,
  NamespaceInspector,
  ONLY_IN_INITIAL,
} from '../../node-agent/sandbox/namespace-inspector.ts';
import type { PodIdentity } from '../../node-agent/sandbox/sandbox-choice.ts';
import { SandboxFinder, type SandboxFinderSettings } from '../../node-agent/sandbox/sandbox-finder.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import { must } from '../harness/netns/processes.ts';
import { until } from '../harness/wait-until.ts';
import { cacheFile } from '../node-agent/sandbox/made-cache-file.ts';

const UID = '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01';
const POD: PodIdentity = { uid: UID, namespace: 'storage', name: 'store-0', addresses: [] };
/** Of this run alone: all namespaces of the machine are looked through, and other runs use the addresses of the pair. */
const RUN = [(process.pid >> 8) & 255, process.pid & 255];
const OF_POD = [`10.78.${RUN.join('.')}`, `fd78::${RUN.map((byte) => (byte + 16).toString(16)).join(':')}`] as const;
const [IPV4] = OF_POD;
const OF_GATEWAY = `10.79.${RUN.join('.')}`;
const OF_ONE = `10.80.${RUN.join('.')}`;
const NETNS = '/run/netns';

/** A test with a pod and a gateway that have these addresses, among others. */
function sandboxTest(name: string, body: (t: Test, pair: Pair) => Promise<void>): void {
  kernelTest(name, async (t, pair) => {
    for (const address of OF_POD) await pair.pod.must('ip', ['addr', 'add', address, 'dev', 'lo']);
    await pair.gateway.must('ip', ['addr', 'add', OF_GATEWAY, 'dev', 'lo']);
    await body(t, pair);
  });
}

type Changes = (string | null)[];

async function startFinder(
  t: Test,
  settings: Partial<SandboxFinderSettings> = {},
): Promise<{ finder: SandboxFinder; cniCache: string; changes: Changes }> {
  const cniCache = join(t.testdir(), 'results');
  await mkdir(cniCache, { recursive: true });
  const changes: Changes = [];
  const finder = new SandboxFinder({
    cniCache,
    netnsFolder: NETNS,
    nodeAddresses: () => ['10.77.9.9'],
    commandTimeout: 20_000,
    onChange: (uid) => changes.push(uid),
    log: () => undefined,
    checkPeriod: 50,
    ...settings,
  });
  await finder.start();
  t.teardown(() => finder.stop());
  return { finder, cniCache, changes };
}

const inodeOf = async (namespace: NetworkNamespace) => (await stat(`/run/netns/${namespace.name}`)).ino;

sandboxTest('a pod of the CNI cache is found as soon as its file is there', async (t, { pod }) => {
  const { finder, cniCache, changes } = await startFinder(t);
  t.match(await finder.find(POD), { missing: /names no namespace of the pod.*no address yet/ });
  await writeFile(join(cniCache, 'cluster-5f0c1d-eth0'), cacheFile({ netns: pod.name, addresses: [...OF_POD] }));
  await until('the change is told', () => changes.includes(UID));
  const found = await finder.find(POD);
  t.same(
    'addresses' in found && found.addresses.toSorted(),
    [...OF_POD, ADDRESS.pod.ipv4, ADDRESS.pod.ipv6].toSorted(),
  );
  t.match(found, {
    path: `/run/netns/${pod.name}`,
    inode: await inodeOf(pod),
    containerId: '5f0c1d',
    foundBy: 'cni-cache',
    others: [],
  });
  t.match(await finder.find({ ...POD, addresses: [...OF_POD] }), { inode: await inodeOf(pod) });
  await unlink(join(cniCache, 'cluster-5f0c1d-eth0'));
  await until('it is missing', async () => 'missing' in (await finder.find(POD)));
});

sandboxTest(
  'the UID decides: the entry of an earlier pod of the same name and address is not taken',
  async (t, { pod }) => {
    const { finder, cniCache, changes } = await startFinder(t);
    await writeFile(
      join(cniCache, 'cluster-old-eth0'),
      cacheFile({ uid: 'earlier', netns: pod.name, addresses: [...OF_POD] }),
    );
    await until('the entry is read', () => changes.includes('earlier'));
    const found = await finder.find({ ...POD, addresses: [...OF_POD] });
    t.match(found, { missing: /no network namespace .* is certain to hold 10\.78\.\d+\.\d+ and fd78::/ });
  },
);

sandboxTest('where the runtime tells no UID, addresses of the status decide', async (t, { pod, gateway }) => {
  const { finder, cniCache, changes } = await startFinder(t);
  await writeFile(join(cniCache, 'cluster-a-eth0'), cacheFile({ uid: null, netns: pod.name, addresses: [...OF_POD] }));
  await until('the entry is read', () => changes.includes(null));
  t.match(await finder.find(POD), { missing: /does not tell the pod's UID, and the pod's status has no address yet/ });
  t.match(await finder.find({ ...POD, addresses: [...OF_POD] }), { inode: await inodeOf(pod), foundBy: 'cni-cache' });
  const other = await finder.find({ ...POD, addresses: [OF_GATEWAY] });
  t.match(other, { missing: new RegExp(`${pod.name} does not hold ${OF_GATEWAY}`) }, gateway.name);
});

sandboxTest('a namespace without the address is not taken', async (t, { pod }) => {
  const { finder, cniCache, changes } = await startFinder(t);
  await writeFile(join(cniCache, 'cluster-a-eth0'), cacheFile({ netns: pod.name, addresses: ['10.77.0.3'] }));
  await until('the entry is read', () => changes.includes(UID));
  t.match(await finder.find(POD), { missing: new RegExp(`${pod.name} does not hold 10.77.0.3`) });
  await pod.must('ip', ['addr', 'add', '10.77.0.3/24', 'dev', 'eth0']);
  t.match(await finder.find(POD), { inode: await inodeOf(pod) });
});

sandboxTest(
  'of two sandboxes of a pod the one that is there is taken, else the newer one',
  async (t, { pod, gateway }) => {
    const { finder, cniCache, changes } = await startFinder(t);
    const write = (id: string, netns: string, addresses: string[]) =>
      writeFile(join(cniCache, `cluster-${id}-eth0`), cacheFile({ containerId: id, netns, addresses }));
    await write('older', pod.name, [...OF_POD]);
    await until('the entry is read', () => changes.length > 0);
    await write('newer', 'idrop-of-no-one', [OF_GATEWAY]);
    let found = await finder.find(POD);
    await until('the newer entry is read', async () => {
      found = await finder.find(POD);
      return 'others' in found && found.others.length > 0;
    });
    t.match(found, { containerId: 'older', others: [/idrop-of-no-one is not there/] });
    await write('newest', gateway.name, [OF_GATEWAY]);
    // The status still has the address of the older one.
    const asked = { ...POD, addresses: [...OF_POD] };
    await until('the newest entry is read', async () => {
      found = await finder.find(asked);
      return 'containerId' in found && found.containerId === 'newest';
    });
    t.match(found, { inode: await inodeOf(gateway) });
    t.ok('others' in found && found.others.some((reason) => /is an older sandbox of the same pod/.test(reason)));
  },
);

sandboxTest("the node's namespace is never taken, whatever the cache says", async (t, { pod, gateway }) => {
  const { finder, cniCache, changes } = await startFinder(t, {
    nodeAddresses: () => [OF_GATEWAY],
    nodeNamespace: await inodeOf(pod),
  });
  const cases: [NetworkNamespace, string[], RegExp][] = [
    [gateway, [OF_GATEWAY], /holds 10\.79\.\d+\.\d+, an address of the node/],
    [pod, [...OF_POD], /is the node's own network namespace/],
  ];
  for (const [{ name }, addresses, reason] of cases) {
    t.match(await finder.find({ ...POD, uid: 'without-entry', addresses }), { missing: /is certain to hold/ });
    const uid = `of-${name}`;
    await writeFile(join(cniCache, `cluster-${name}-eth0`), cacheFile({ uid, netns: name, addresses }));
    await until('the entry is read', () => changes.includes(uid));
    t.match(await finder.find({ ...POD, uid, addresses }), { missing: reason });
  }
});

sandboxTest('what is no network namespace is not entered', async (t, { pod }) => {
  const netnsFolder = t.testdir({ file: '', folder: {}, link: t.fixture('symlink', `/run/netns/${pod.name}`) });
  const inspector = new NamespaceInspector({ netnsFolder, nodeAddresses: () => [], commandTimeout: 20_000 });
  for (const name of ['file', 'folder', 'link'])
    t.match(await inspector.inspect(name), { refused: /is not a namespace/ }, name);
  t.match(await inspector.inspect('nothing'), { refused: /is not there/ });
});

/**
 * Inspects namespaces as an agent that runs in a namespace of its own.
 * @param sysctl printed as if the namespaces had the sysctl of the initial one
 */
async function inspectFrom(own: NetworkNamespace, sysctl: string, ...names: string[]): Promise<unknown[]> {
  const inspector = new URL('../../node-agent/sandbox/namespace-inspector.ts', import.meta.url);
  const command = new URL('../../lib/command.ts', import.meta.url);
  const script = `import { NamespaceInspector } from '${inspector}';
    import { runCommand } from '${command}';
    const run = async (...args) => {
      const output = await runCommand(...args);
      return { ...output, stdout: output.stdout + ${JSON.stringify(sysctl)} };
    };
    const settings = { netnsFolder: '/run/netns', nodeAddresses: () => [], commandTimeout: 20000 };
    const inspector = new NamespaceInspector({ ...settings, run });
    for (const name of ${JSON.stringify(names)}) console.log(JSON.stringify(await inspector.inspect(name)));`;
  const printed = await own.must(process.execPath, ['--input-type=module', '-e', script]);
  return printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

sandboxTest("the agent's own namespace is not taken", async (t, { pod, gateway }) => {
  const [own, other] = await inspectFrom(pod, '', pod.name, gateway.name);
  t.match(own, { refused: /is the agent's own network namespace/ });
  t.match(other, { addresses: [ADDRESS.gateway.ipv4, OF_GATEWAY, ADDRESS.gateway.ipv6] });
});

sandboxTest('the initial namespace is not taken, under whichever name', async (t, { pod, gateway }) => {
  const [initial] = await inspectFrom(pod, '1000\n', gateway.name);
  t.match(initial, { refused: /is the node's own network namespace/ });
});

sandboxTest('a sysctl tells the initial namespace from all others', async (t, { pod }) => {
  t.not((await pod.run('cat', [ONLY_IN_INITIAL])).exitCode, 0);
  const { ino } = await stat('/proc/self/ns/net');
  // Since Linux 6.18 the inode tells, too.
  if (ino === INITIAL_NAMESPACE) t.match(await readFile(ONLY_IN_INITIAL, 'utf8'), /^\d+\n$/);
  t.not(await inodeOf(pod), INITIAL_NAMESPACE);
});

sandboxTest('without a cache, the one namespace with the addresses is the pod', async (t, { pod, gateway }) => {
  const { finder, cniCache, changes } = await startFinder(t);
  await rm(cniCache, { recursive: true });
  const asked = { ...POD, addresses: [...OF_POD] };
  t.match(await finder.find(asked), { inode: await inodeOf(pod), foundBy: 'addresses', containerId: null });
  await gateway.must('ip', ['addr', 'add', `${IPV4}/32`, 'dev', 'lo']);
  t.match(await finder.find(asked), { inode: await inodeOf(pod) }, 'all addresses count');
  const ipv4 = { ...POD, addresses: [IPV4] };
  t.match(await finder.find(ipv4), { missing: /all hold 10\.78\.\d+\.\d+: any of them may be the pod's/ });
  await mkdir(cniCache);
  await writeFile(
    join(cniCache, 'cluster-b-eth0'),
    cacheFile({ uid: 'of-another', netns: gateway.name, addresses: [] }),
  );
  await until('the entry is read', () => changes.includes('of-another'));
  t.match(await finder.find(ipv4), { inode: await inodeOf(pod) }, 'a namespace of another pod does not count');
});

sandboxTest('a namespace that goes is told without a cache', async (t, { pod }) => {
  const { finder, changes } = await startFinder(t);
  t.match(await finder.find({ ...POD, addresses: [...OF_POD] }), { foundBy: 'addresses' });
  await must('ip', ['netns', 'del', pod.name]);
  await until('the change is told', () => changes.includes(UID));
  t.match(await finder.find({ ...POD, addresses: [...OF_POD] }), { missing: /is certain to hold/ });
});

sandboxTest('what a namespace holds is remembered for a while, but not for another one of its name', async (t) => {
  let now = 0;
  const { finder } = await startFinder(t, { now: () => now });
  const asked = { ...POD, addresses: [OF_ONE] };
  const one = await new NetworkNamespace('one').add();
  t.teardown(() => one.remove());
  const address = () => one.must('ip', ['addr', 'replace', OF_ONE, 'dev', 'lo']);
  t.match(await finder.find(asked), { missing: /is certain to hold/ });
  await address();
  t.match(await finder.find(asked), { inode: await inodeOf(one) }, 'a new one is entered each time');
  await one.must('ip', ['addr', 'flush', 'dev', 'lo']);
  now = 20_000;
  t.match(await finder.find(asked), { missing: /is certain to hold/ });
  await address();
  t.match(await finder.find(asked), { missing: /is certain to hold/ }, 'remembered');
  await must('ip', ['netns', 'del', one.name]);
  await one.add();
  await address();
  t.match(await finder.find(asked), { inode: await inodeOf(one) }, 'another one is entered');
  await one.must('ip', ['addr', 'flush', 'dev', 'lo']);
  now = 40_000;
  t.match(await finder.find(asked), { missing: /is certain to hold/ });
  await address();
  now = 101_000;
  t.match(await finder.find(asked), { inode: await inodeOf(one) }, 'and after a minute');
});
