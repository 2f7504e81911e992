// From a cluster that has none of our images to the first guarded pod: `helm install` from the registry, and a label. The
// registry has a password, so that the pull secrets are there before. It prints how long that takes.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { PLATFORMS } from '../../tools/release/release-list.ts';
import { apply, createNamespace, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { askChecker, getPods, isInjected, waitReady } from '../harness/cluster/pod-status.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { askWebhook } from '../harness/cluster/webhook-installation.ts';
import { openRelease } from '../harness/registry/published-release.ts';
import { addPullSecret, PULL_SECRET, pausePod } from '../harness/registry/pull-secrets.ts';
import { runProgram, tryProgram } from '../harness/registry/registry-programs.ts';
import { openRegistry } from '../harness/registry/registry-server.ts';
import { eventually } from '../harness/wait-until.ts';

const NAME = 'invalid-drop';
const registry = await openRegistry();
const release = await openRelease();
const chart = `oci://${release.registry}/charts/${NAME}`;
const IN_NAMESPACE = ['--namespace', OWN_NAMESPACE];
const CHART = [chart, '--version', release.version, '--ca-file', registry.caFile];

const home = await mkdtemp(join(tmpdir(), 'invalid-drop-helm-'));
/** Without Docker's configuration: what `helm registry login` writes has to do. */
const env = { HOME: home, DOCKER_CONFIG: `${home}/none`, SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' };
const helm = (args: string[], input = '') => runProgram(registry, 'helm', args, { env, input });

t.teardown(async () => {
  await tryProgram(registry, 'helm', ['uninstall', NAME, ...IN_NAMESPACE, '--wait'], { env });
  await kubectl(['delete', 'namespace', OWN_NAMESPACE, '--ignore-not-found', '--timeout=90s'], { limit: 100_000 });
  await rm(home, { recursive: true, force: true });
});

/** Every reference under which a node has an image. */
async function imagesOnNodes(): Promise<string[]> {
  const { items } = await getJson<{ items: { status: { images?: { names?: string[] }[] } }[] }>('nodes');
  return items.flatMap(({ status }) => (status.images ?? []).flatMap(({ names }) => names ?? []));
}

t.test('helm gets the chart only with CA and password', async (t) => {
  const show = ['show', 'chart', chart, '--version', release.version];
  const [withoutCa, withoutPassword] = [
    await tryProgram(registry, 'helm', show, { env }),
    await tryProgram(registry, 'helm', ['show', 'chart', ...CHART], { env }),
  ];
  t.match(withoutCa, { exitCode: 1, stderr: /certificate/ });
  t.match(withoutPassword, { exitCode: 1, stderr: /401|unauthorized|basic credential/i });
  const login = ['registry', 'login', registry.address, '--username', registry.user, '--password-stdin'];
  await helm([...login, '--ca-file', registry.caFile], registry.password);
  t.match(await helm(['show', 'chart', ...CHART]), new RegExp(`^version: ${release.version}$`, 'm'));
});

t.test('helm install and a label: the first pod is guarded', async (t) => {
  const ours = (await imagesOnNodes()).filter((name) => name.startsWith(registry.address));
  t.strictSame(ours, [], 'no node has one of our images');
  const namespace = await plainNamespace(t);
  await createNamespace(OWN_NAMESPACE, {});
  for (const each of [OWN_NAMESPACE, namespace]) await addPullSecret(registry, each);

  const began = performance.now();
  const secrets = [
    ...['--set-json', `global.imagePullSecrets=[{"name":"${PULL_SECRET}"}]`],
    ...['--set-json', `options.imagePullSecrets=["${PULL_SECRET}"]`],
  ];
  await helm(['install', NAME, ...CHART, ...IN_NAMESPACE, ...secrets, '--wait']);
  const installed = performance.now();
  await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
  const input = JSON.stringify(pausePod(namespace, 'first'));
  // API server and kube-proxy hear of the webhook a moment after its replicas are Ready.
  await eventually('a pod that is created is injected', async () =>
    isInjected(JSON.parse(await kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], { input }))),
  );
  await apply(pausePod(namespace, 'first'));
  const pod = await waitReady(namespace, 'first');
  const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(1);
  const end = performance.now();
  t.comment(
    `${seconds(began, end)} s from helm install to the first guarded pod, ${seconds(began, installed)} s of it helm install --wait`,
  );
  t.match(JSON.parse(await askChecker(namespace, 'first', '/selfcheck')), { guarded: true });
  t.match(JSON.parse(await askWebhook('/selfcheck')), { ok: true });

  const digestOf = (name: string) => release.images.find((image) => image.name === name)?.digest;
  t.equal(pod.spec.initContainers?.[0]?.image, `${release.registry}/init-image@${digestOf('init-image')}`);
  for (const { spec } of await getPods(OWN_NAMESPACE))
    t.equal(spec.containers[0]?.image, `${release.registry}/webhook@${digestOf('webhook')}`);
});

t.test('both container runtimes have pulled from the registry', async (t) => {
  const log = await readFile(registry.log, 'utf8');
  const agents = log.split('\n').filter((line) => line.includes('/blobs/') && line.includes('containerd/'));
  t.ok(
    agents.some((line) => /containerd\/v?1\./.test(line)),
    'containerd 1',
  );
  t.ok(
    agents.some((line) => /containerd\/v?2\./.test(line)),
    'containerd 2',
  );
});

t.test('what a node pulls of each image', async (t) => {
  for (const { name, platforms } of release.images) {
    for (const platform of PLATFORMS) {
      const reference = `${release.registry}/${name}@${platforms[platform].digest}`;
      const text = await runProgram(registry, 'crane', ['manifest', reference]);
      const { config, layers } = JSON.parse(text) as { config: { size: number }; layers: { size: number }[] };
      const bytes = layers.reduce((sum, { size }) => sum + size, config.size + Buffer.byteLength(text));
      t.comment(`${name}, ${platform}: ${(bytes / 1e6).toFixed(1)} MB`);
      t.ok(bytes <= 45e6, `${name}, ${platform}: at most 45 MB`);
    }
  }
});
