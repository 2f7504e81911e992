import t from 'tap';
import { VERSION } from '../../lib/contract.ts';
import { optionRows, readOptions } from '../../lib/options.ts';
import { injectionSettings, OPTIONS } from '../../webhook/webhook-options.ts';
import { SETTINGS } from './admission/injection-settings.ts';

const read = (...argv: string[]) => readOptions(OPTIONS, argv, {}).values;

t.test(
  'defaults: enforce, tcp, repair, with checker, as a native sidecar, no NET_RAW, loopback, no cluster',
  async (t) => {
    t.match(injectionSettings(read()), {
      version: VERSION,
      options: {
        mode: 'enforce',
        protocol: 'tcp',
        onDrift: 'repair',
        rescue: 'enabled',
        checker: 'enabled',
        port: 15099,
      },
      nativeSidecars: true,
      legacyIptables: false,
      initResources: SETTINGS.initResources,
      checkerResources: SETTINGS.checkerResources,
      maxResources: SETTINGS.maxResources,
      meshExcludeInboundPorts: '',
      imagePullSecrets: [],
    });
    t.match(read(), { 'listen-address': '127.0.0.1', port: 8443, 'metrics-port': 8080, kubeconfig: '' });
  },
);

t.test('each option of injection reaches the settings', async (t) => {
  const words = [
    '--mode=observe',
    '--protocol=all',
    '--on-drift=report',
    '--rescue=disabled',
    '--checker=disabled',
    '--checker-port=25099',
    '--image=a.example/b:1',
    '--node-mode=available',
    '--init-resources=cpu=0.05:50m,memory=64Mi:1Gi',
    '--checker-resources=cpu=20m,memory=64Mi',
    '--max-resources=memory=2Gi',
    '--image-pull-secrets=registry,mirror.example,registry',
  ];
  const ports = '--mesh-exclude-inbound-ports=9000,9001';
  t.strictSame(injectionSettings(read(...words, '--native-sidecars=disabled', '--legacy-iptables=enabled', ports)), {
    image: 'a.example/b:1',
    version: VERSION,
    options: {
      mode: 'observe',
      protocol: 'all',
      onDrift: 'report',
      rescue: 'disabled',
      checker: 'disabled',
      port: 25099,
    },
    nativeSidecars: false,
    legacyIptables: true,
    nodeMode: 'available',
    initResources: { requests: { cpu: '0.05', memory: '64Mi' }, limits: { cpu: '50m', memory: '1Gi' } },
    checkerResources: { requests: { cpu: '20m', memory: '64Mi' }, limits: {} },
    maxResources: { memory: '2Gi' },
    meshExcludeInboundPorts: '9000,9001',
    imagePullSecrets: ['registry', 'mirror.example'],
  });
});

t.test('values that are not allowed are refused', async (t) => {
  const wrong = ['port=65536', 'image=', 'image=a b', 'mesh-exclude-inbound-ports=9000;9001', 'body-limit=1'];
  for (const word of [
    ...wrong,
    'listen-address=',
    'native-sidecars=yes',
    'node-mode=enabled',
    'log-level=loud',
    'ca-file=',
  ]) {
    t.throws(() => read(`--${word}`), { code: 'OPTION_INVALID' }, word);
  }
});

t.test('pull secrets: names of Secrets, not too many', async (t) => {
  const ten = Array.from({ length: 10 }, (_, index) => `s${index}`);
  for (const text of ['', 'a', 'a.b-c', ten.join(), [...ten, 's0'].join(), 'a'.repeat(253)])
    t.doesNotThrow(() => read(`--image-pull-secrets=${text}`), text);
  for (const text of [
    ',',
    'a,',
    ',a',
    'a,,b',
    'a, b',
    'A',
    'a_b',
    '-a',
    'a/b',
    [...ten, 's10'].join(),
    'a'.repeat(254),
  ])
    t.throws(() => read(`--image-pull-secrets=${text}`), { code: 'OPTION_INVALID' }, text);
});

t.test('resources of any name that a container may have', async (t) => {
  const text =
    'cpu=0.5:1,memory=64Mi:1e9,ephemeral-storage=10M,hugepages-2Mi=4Mi,hugepages-1Gi=1Gi:1Gi,vendor.example/nic=1:1';
  t.strictSame(injectionSettings(read(`--checker-resources=${text}`)).checkerResources, {
    requests: {
      cpu: '0.5',
      memory: '64Mi',
      'ephemeral-storage': '10M',
      'hugepages-2Mi': '4Mi',
      'hugepages-1Gi': '1Gi',
      'vendor.example/nic': '1',
    },
    // Kubernetes demands a limit of what cannot be given twice, equal to the request.
    limits: { cpu: '1', memory: '1e9', 'hugepages-2Mi': '4Mi', 'hugepages-1Gi': '1Gi', 'vendor.example/nic': '1' },
  });
});

/** Of --checker-resources: what the API server would refuse in each pod, or a slip; and what the message says to use. */
const REFUSED: [text: string, use: RegExp][] = [
  ['', /use NAME=REQUEST:LIMIT with commas between/],
  ['cpu', /use NAME=REQUEST:LIMIT/],
  ['cpu=10m', /use both cpu and memory, and others as you like$/],
  ['memory=32Mi', /use both cpu and memory/],
  ['cpu=10m,memory=32Mi:', /use NAME=REQUEST:LIMIT/],
  ['cpu=10m,memory=32Mi,', /use NAME=REQUEST:LIMIT/],
  ['cpu=10m:20m:30m,memory=32Mi', /use NAME=REQUEST:LIMIT/],
  ['cpu=10m:5m,memory=32Mi', /use a request of cpu up to its limit 5m$/],
  ['cpu=10m,memory=1Gi:128Mi', /use a request of memory up to its limit 128Mi$/],
  ['cpu=0,memory=32Mi', /use an amount of cpu above 0/],
  ['cpu=-1,memory=32Mi', /use an amount of cpu above 0/],
  ['cpu=1.2.3,memory=32Mi', /use an amount of cpu above 0, such as 10m, 2 or 64Mi$/],
  ['cpu=10m,memory=32MB', /use an amount of memory/],
  ['cpu=0.5m,memory=32Mi', /use whole thousandths of cpu$/],
  ['cpu=10m,memory=32', /use at least 1Mi of memory$/],
  ['cpu=10m,memory=32Mi:128m', /use at least 1Mi of memory$/],
  ['cpu=10m,memory=32Mi,ephemeral-storage=5', /use at least 1Mi of ephemeral-storage$/],
  ['cpu=10m,cpu=20m,memory=32Mi', /use cpu once$/],
  ['cpu=10m,memory=32Mi,hugepages-2Mi=2Mi:4Mi', /use one amount of hugepages-2Mi for both$/],
  ['cpu=10m,memory=32Mi,hugepages-2Mi=3Mi', /use whole pages of hugepages-2Mi$/],
  ['cpu=10m,memory=32Mi,vendor.example/nic=1:2', /use one amount of vendor\.example\/nic for both$/],
  ['cpu=10m,memory=32Mi,vendor.example/nic=500m', /use a whole number of vendor\.example\/nic$/],
  [
    'cpu=10m,memory=32Mi,storage=1Gi',
    /use cpu, memory, ephemeral-storage, hugepages-SIZE or VENDOR\/NAME instead of storage$/,
  ],
  ['cpu=10m,memory=32Mi,image=a/b', /instead of image$/],
  ['cpu=10m,memory=32Mi,__proto__=1', /instead of __proto__$/],
  ['cpu=10m,memory=32Mi,hugepages-=2Mi', /instead of hugepages-$/],
  ['cpu=10m,memory=32Mi,Vendor/nic=1', /instead of Vendor\/nic$/],
  ['cpu=10m,memory=32Mi,requests.vendor/nic=1', /instead of requests\.vendor\/nic$/],
  ['cpu=10m,memory=32Mi,kubernetes.io/nic=1', /instead of kubernetes\.io\/nic$/],
  ['cpu=10m,memory=32Mi,a/b/c=1', /instead of a\/b\/c$/],
  [`cpu=10m,memory=32Mi,${'a'.repeat(1000)}/b=1`, /use at most 1000 characters$/],
];

t.test('resources that the API server would refuse are refused, with what to use instead', async (t) => {
  for (const [text, use] of REFUSED) {
    t.throws(() => read(`--checker-resources=${text}`), { code: 'OPTION_INVALID', message: use }, text);
  }
});

t.test('the bound of annotations', async (t) => {
  const bound = (text: string) => injectionSettings(read(`--max-resources=${text}`)).maxResources;
  t.strictSame(bound('none'), {});
  t.strictSame(bound('vendor.example/nic=2,cpu=4'), { 'vendor.example/nic': '2', cpu: '4' });
  for (const text of ['', 'cpu', 'cpu=1:2', 'cpu=1,cpu=2', 'cpu=lots']) {
    t.throws(() => bound(text), { code: 'OPTION_INVALID' }, text);
  }
});

t.test('the environment variable of a flag is its name with the prefix of the project', async (t) => {
  for (const { flag, env } of optionRows(OPTIONS)) {
    t.equal(env, `INVALID_DROP_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`);
  }
});
