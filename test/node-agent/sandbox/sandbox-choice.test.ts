import t from 'tap';
import {
  type CachedSandbox,
  candidatesOf,
  chooseCandidate,
  chooseHolder,
  isEntryOf,
  type PodIdentity,
} from '../../../node-agent/sandbox/sandbox-choice.ts';

const POD: PodIdentity = { uid: 'uid-1', namespace: 'storage', name: 'store-0', addresses: ['10.0.0.2'] };
const ENTRY: CachedSandbox = {
  containerId: 'c1',
  networkName: 'cluster',
  ifName: 'eth0',
  podUid: 'uid-1',
  podNamespace: 'storage',
  podName: 'store-0',
  netns: 'cni-1',
  addresses: ['10.0.0.2'],
  writtenAt: 1,
};

const namespace = (...addresses: string[]) => ({ path: '/host/run/netns/cni-1', inode: 7, addresses });

/** The choice where the cache names one namespace, which holds these addresses. */
function choose(pod: Partial<PodIdentity>, entry: Partial<CachedSandbox>, ...addresses: string[]): unknown {
  const asked = { ...POD, ...pod };
  const candidates = candidatesOf(asked, [{ ...ENTRY, ...entry }]);
  return chooseCandidate(
    asked,
    candidates.map((candidate) => ({ candidate, found: namespace(...addresses) })),
  );
}

t.test('an entry with a UID is of that pod, one without of whatever pod has the name', async (t) => {
  t.ok(isEntryOf(ENTRY, POD));
  t.notOk(isEntryOf(ENTRY, { ...POD, uid: 'uid-2' }));
  t.ok(isEntryOf({ ...ENTRY, podUid: null }, { ...POD, uid: 'uid-2' }));
  t.notOk(isEntryOf({ ...ENTRY, podUid: null }, { ...POD, name: 'store-1' }));
  t.notOk(isEntryOf({ ...ENTRY, podUid: null }, { ...POD, namespace: 'other' }));
});

t.test('what is certain, and what is missing', async (t) => {
  const taken = { path: '/host/run/netns/cni-1', inode: 7, containerId: 'c1', foundBy: 'cni-cache', others: [] };
  t.same(choose({}, {}, '10.0.0.2'), { ...taken, addresses: ['10.0.0.2'] });
  t.match(choose({ addresses: [] }, {}, '10.0.0.2', 'fd00::2'), taken, 'before the status has an address');
  t.match(choose({ addresses: ['10.0.0.9'] }, {}, '10.0.0.2'), taken, 'a restarted sandbox, an old status');
  t.match(choose({}, { addresses: ['10.0.0.9'] }, '10.0.0.2'), taken, 'UID and status agree');
  t.match(choose({}, { addresses: [] }, '10.0.0.2'), taken, 'a plugin that tells no address');
  t.match(choose({ addresses: ['FD00:0::2'] }, {}, 'fd00::2'), taken, 'another form of the same address');
  t.match(choose({}, {}, '10.0.0.1'), { missing: '/host/run/netns/cni-1 does not hold 10.0.0.2' });
  t.match(choose({}, {}), { missing: /does not hold/ });
  const dual = ['10.0.0.2', 'fd00::2'];
  t.match(choose({ addresses: dual }, { addresses: dual }, '10.0.0.2'), { missing: /10.0.0.2 and fd00::2/ });
  t.match(choose({ addresses: [] }, { addresses: [] }, '10.0.0.2'), { missing: /does not tell an address/ });
  t.match(choose({}, { addresses: [] }, '10.0.0.1'), { missing: /does not hold 10.0.0.2/ });
});

t.test('without a UID, only the status counts', async (t) => {
  const podUid = null;
  t.match(choose({}, { podUid }, '10.0.0.2'), { inode: 7 });
  t.match(choose({ addresses: [] }, { podUid }, '10.0.0.2'), { missing: /does not tell the pod's UID/ });
  t.match(choose({ addresses: ['10.0.0.3'] }, { podUid }, '10.0.0.2'), { missing: /does not hold 10.0.0.3/ });
});

t.test('several interfaces of a pod are one namespace, judged by its first address, else by eth0', async (t) => {
  const net1 = { ...ENTRY, ifName: 'net1', networkName: 'macnet', addresses: ['10.9.0.2'], containerId: 'net1' };
  const multus = { ...ENTRY, networkName: 'multus', addresses: [], containerId: 'multus' };
  const primaryOf = (addresses: string[], entries: CachedSandbox[]) =>
    candidatesOf({ ...POD, addresses }, entries).map(({ primary }) => primary.containerId);
  t.same(primaryOf([], [net1, multus, ENTRY]), ['c1']);
  t.same(primaryOf(['10.9.0.2'], [ENTRY, multus, net1]), ['net1']);
  t.same(primaryOf(['10.1.1.1'], [net1, multus]), ['multus']);
  t.same(primaryOf([], [net1]), ['net1']);
});

t.test('entries that name no file, and those of other pods, are no candidates', async (t) => {
  t.same(
    candidatesOf(POD, [
      { ...ENTRY, netns: null },
      { ...ENTRY, podUid: 'uid-2' },
    ]),
    [],
  );
});

t.test('the newer of two sandboxes is taken, and why not the other is said', async (t) => {
  const newer = { ...ENTRY, netns: 'cni-2', containerId: 'c2', addresses: ['10.0.0.3'], writtenAt: 2 };
  const candidates = candidatesOf(POD, [ENTRY, newer]);
  t.same(
    candidates.map(({ netns }) => netns),
    ['cni-2', 'cni-1'],
  );
  const found = (second: object) =>
    candidates.map((candidate, index) => ({
      candidate,
      found: index === 0 ? { ...namespace('10.0.0.3'), path: '/n/cni-2', ...second } : namespace('10.0.0.2'),
    }));
  t.match(chooseCandidate(POD, found({})), {
    containerId: 'c2',
    others: ['/host/run/netns/cni-1 is an older sandbox of the same pod'],
  });
  t.match(chooseCandidate(POD, found({ refused: '/n/cni-2 is not there' })), {
    containerId: 'c1',
    others: ['/n/cni-2 is not there'],
  });
});

t.test('by addresses, one namespace is certain, none or two are not', async (t) => {
  const one = namespace('10.0.0.2');
  t.same(chooseHolder(POD, [one]), { ...one, containerId: null, foundBy: 'addresses', others: [] });
  t.match(chooseHolder(POD, []), { missing: /no network namespace .* hold 10.0.0.2/ });
  t.match(chooseHolder(POD, [one, { ...one, path: '/n/cni-2' }]), { missing: /cni-1, \/n\/cni-2 all hold 10.0.0.2/ });
});
