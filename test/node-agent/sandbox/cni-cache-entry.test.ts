// Files in cni-results/ were written by libcni 1.3.0 with the plugins bridge, host-local and loopback 1.9.1.
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { canonicalAddress, parseCniCacheEntry } from '../../../node-agent/sandbox/cni-cache-entry.ts';
import { makePrng, type Prng } from '../../harness/random-rulesets/prng.ts';
import { cacheFile } from './made-cache-file.ts';

const FOLDER = new URL('cni-results/', import.meta.url);
const FILES = readdirSync(FOLDER).map((name) => readFileSync(new URL(name, FOLDER), 'utf8'));
const NETNS = 'cni-0b6c1a5e-8f0b-0c51-6d86-0f3f3a6c2d11';

type Changed = { [key: string]: unknown };

/** A file with other values at its top, and in its result. */
function changed(top: Changed, result: Changed = {}): string {
  const file = JSON.parse(cacheFile({ addresses: ['10.88.0.2'] }));
  return JSON.stringify({ ...file, ...top, result: { ...file.result, ...result } });
}

const named = (...pairs: unknown[]) => [['K8S_POD_NAMESPACE', 'storage'], ['K8S_POD_NAME', 'store-0'], ...pairs];

t.test('files of every version of the result are read', async (t) => {
  const pod = { podUid: '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01', podNamespace: 'storage', podName: 'store-0' };
  const sandbox = { ...pod, containerId: '5f0c1d', netns: NETNS };
  t.same(FILES.map(parseCniCacheEntry), [
    { ...sandbox, networkName: 'cluster', ifName: 'eth0', addresses: ['10.88.0.2', 'fd88::2'] },
    { ...sandbox, networkName: 'cni-loopback', ifName: 'lo', addresses: [] },
    { ...sandbox, networkName: 'macnet', ifName: 'net1', addresses: ['10.90.0.2'] },
    {
      podUid: null,
      podNamespace: 'storage',
      podName: 'store-1',
      containerId: '77aa',
      netns: 'cni-b',
      networkName: 'old',
      ifName: 'eth0',
      addresses: ['10.89.0.2'],
    },
  ]);
});

t.test('the part of a file that is written first is no entry', async (t) => {
  for (const text of FILES) {
    for (let length = 0; length < text.length; length++) {
      if (parseCniCacheEntry(text.slice(0, length))) t.fail(`the first ${length} bytes are an entry`);
    }
  }
  t.pass('none');
});

t.test('a namespace is named by its base name, wherever the runtime has the folder', async (t) => {
  const of = (path: unknown) => parseCniCacheEntry(changed({ netns: path }, { interfaces: [] }))?.netns;
  t.equal(of('/run/netns/cni-1'), 'cni-1');
  t.equal(of('/var/run/docker/netns/5f0c'), '5f0c');
  t.equal(of('/run/netns/../../etc/netns/passwd'), 'passwd', 'a base name cannot leave the folder');
  for (const path of ['/run/netns/..', '/run/netns/.', '/run/netns/', '/run/netns/a/b', '/proc/7/ns/net', 'netns/a'])
    t.equal(of(path), null, path);
  for (const path of ['/run/netns/a\0b', '/run/netns/a b', `/run/netns/${'a'.repeat(256)}`, 7, null, [], {}])
    t.equal(of(path), null, String(path));
});

t.test("without `netns`, as before libcni 1.2, the pod's interface names the namespace", async (t) => {
  const interfaces = [
    { name: 'veth1', sandbox: '' },
    { name: 'other0', sandbox: '/var/run/netns/other' },
    { name: 'eth0', sandbox: '/var/run/netns/own' },
  ];
  t.equal(parseCniCacheEntry(changed({ netns: undefined }, { interfaces }))?.netns, 'own');
  t.equal(parseCniCacheEntry(changed({ netns: undefined, ifName: 'x' }, { interfaces }))?.netns, 'other');
  t.equal(parseCniCacheEntry(changed({ netns: undefined }, { interfaces: [{ name: 'veth1' }] }))?.netns, null);
});

t.test("only the pod's own addresses count, as the kernel prints them", async (t) => {
  const interfaces = [{ name: 'cni0' }, { name: 'eth0', sandbox: '/var/run/netns/a' }];
  const ips = [
    { address: '10.88.0.1/24', interface: 0 },
    { address: '10.88.0.2/24', interface: 1 },
    { address: 'FD88:0:0::2/64' },
    { address: 'fe80::1/64' },
    { address: '10.88.0.2/32', interface: 1 },
    { address: 'nonsense' },
    { address: '10.88.0.9/24', interface: 7 },
    {},
  ];
  t.same(parseCniCacheEntry(changed({}, { interfaces, ips }))?.addresses, ['10.88.0.2', 'fd88::2']);
});

t.test('what names no pod, or names one as none can be named, is no entry', async (t) => {
  t.ok(parseCniCacheEntry(changed({ cniArgs: named() })));
  t.equal(parseCniCacheEntry(changed({ cniArgs: named(['K8S_POD_UID', '']) }))?.podUid, null);
  const tops: Changed[] = [
    { kind: 'cniCacheV2' },
    { cniArgs: undefined },
    { cniArgs: 'K8S_POD_NAME=store-0' },
    { cniArgs: [['K8S_POD_NAME', 'store-0']] },
    { cniArgs: named(['K8S_POD_UID', '../..']) },
    { cniArgs: named(['K8S_POD_NAME', 'a/b']) },
    { cniArgs: named(['K8S_POD_NAMESPACE', '']) },
    { containerId: '' },
    { containerId: 5 },
    { ifName: 'a/b' },
    { networkName: null },
  ];
  for (const top of tops) t.equal(parseCniCacheEntry(changed(top)), undefined, JSON.stringify(top));
  for (const text of ['', 'null', '[]', '"cniCacheV1"', '{}', '{"cniVersion":"0.3.1","ips":[]}', '\0\0\0\0'])
    t.equal(parseCniCacheEntry(text), undefined, text);
});

t.test('an address has one form', async (t) => {
  t.equal(canonicalAddress('FD77:0:0:0::2'), 'fd77::2');
  for (const text of ['', 'fe80::1%eth0', '10.0.0', '10.0.0.1/24', 'a b', '[::1]'])
    t.equal(canonicalAddress(text), undefined, text);
});

const SEED = Number(process.env['SEED'] || Date.now() % 1_000_000_000);
const RUNS = 5000;
const VALUES: unknown[] = [null, true, 0, -1, 1e99, '', '..', '/run/netns/a', '10.0.0.1/8', [], {}, [[]], [{}], 'lo'];

/** Another value somewhere in it, or a part less. */
function mutate(random: Prng, value: unknown): unknown {
  if (random.chance(0.1) || typeof value !== 'object' || value === null) return random.pick(VALUES);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(VALUES);
  const key = random.pick(keys);
  const inner = mutate(random, (value as Changed)[key]);
  if (Array.isArray(value)) return value.map((one, index) => (String(index) === key ? inner : one));
  const { [key]: _, ...rest } = value as Changed;
  return random.chance(0.2) ? rest : { ...rest, [key]: inner };
}

/** Characters replaced, doubled or left out. */
function garble(random: Prng, text: string): string {
  const at = random.below(text.length);
  const till = at + random.below(20);
  const between = random.pick(['', '"', '}', '\\', '\0', '\u2028', '{"__proto__":', text.slice(at, till).repeat(2)]);
  return text.slice(0, at) + between + text.slice(till);
}

/** What has to hold for each entry that is handed out. */
function isSound(entry: ReturnType<typeof parseCniCacheEntry>): boolean {
  if (entry === undefined) return true;
  const { podUid, netns, addresses, containerId, podNamespace, podName, networkName, ifName } = entry;
  const texts = [containerId, podNamespace, podName, networkName, ifName];
  return (
    texts.every((text) => typeof text === 'string' && text.length > 0 && text.length < 256 && !/[\s/\0]/.test(text)) &&
    (podUid === null || /^[\w-]{1,64}$/.test(podUid)) &&
    (netns === null || (/^[^/\0\s]{1,255}$/.test(netns) && netns !== '..' && netns !== '.')) &&
    addresses.length <= 64 &&
    addresses.every((address) => canonicalAddress(address) === address)
  );
}

t.test(`any text is a sound entry or none (SEED=${SEED})`, async (t) => {
  let entries = 0;
  for (let run = 0; run < RUNS; run++) {
    const random = makePrng(SEED + run);
    const text = random.pick(FILES);
    const other = random.chance(0.5) ? garble(random, text) : JSON.stringify(mutate(random, JSON.parse(text)));
    const entry = parseCniCacheEntry(other);
    if (entry) entries++;
    if (!isSound(entry)) t.fail(`seed ${SEED + run}: ${other}`);
  }
  t.ok(entries > RUNS / 20, `${entries} of ${RUNS} were entries`);
});
