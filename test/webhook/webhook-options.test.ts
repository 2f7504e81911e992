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
      meshExcludeInboundPorts: '',
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
    meshExcludeInboundPorts: '9000,9001',
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

t.test('resources of a container that the API server would refuse are refused', async (t) => {
  const sizes = ['cpu=10m:5m,memory=32Mi', 'cpu=10m,memory=1Gi:128Mi', 'cpu=0,memory=32Mi', 'cpu=1.2.3,memory=32Mi'];
  for (const text of ['', 'cpu=10m', 'cpu=10m,memory=32', 'cpu=10m,memory=32Mi:', ...sizes]) {
    t.throws(() => read(`--checker-resources=${text}`), { code: 'OPTION_INVALID' }, text);
  }
});

t.test('the environment variable of a flag is its name with the prefix of the project', async (t) => {
  for (const { flag, env } of optionRows(OPTIONS)) {
    t.equal(env, `INVALID_DROP_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`);
  }
});
