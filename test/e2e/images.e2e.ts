// The images as `make images` saved them: their contents, and whether they work with what a pod gives them.

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { AGENT_COMMAND, CHECK_COMMAND, INSTALL_COMMAND, SIDECAR_COMMAND, WAIT_COMMAND } from '../../lib/contract.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { findIn, unpack } from '../../tools/images/oci-archive.ts';
import { type Bom, readContents } from '../../tools/images/sbom.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { eventsOf, startInImage } from '../harness/netns/shipped-programs.ts';

const IMAGES = fileURLToPath(new URL('../../.run/images/', import.meta.url));
/** Programs that an image for other teams' pods must not have. */
const UNWANTED =
  /^(npm|npx|corepack|yarn|sh|bash|dash|busybox|perl|python3?|apt|apt-get|dpkg|gcc|cc|g\+\+|ld|curl|wget)$/;

const folder = t.testdir({});
const open = async (name: string) => ({ name, ...(await unpack(`${IMAGES}${name}.oci.tar`, `${folder}/${name}`)) });
const [init, webhook, agent] = [await open('init-image'), await open('webhook'), await open('node-agent')];
const bomOf = async (name: string) => JSON.parse(await readFile(`${IMAGES}${name}.cdx.json`, 'utf8')) as Bom;

for (const { name, root, config } of [init, webhook, agent]) {
  t.test(`${name}: its labels say what it is, of which version and from which commit`, async (t) => {
    const labels = config.config.Labels ?? {};
    const label = (key: string) => labels[`org.opencontainers.image.${key}`] ?? '';
    t.equal(label('title'), `invalid-drop ${name}`);
    t.equal(label('version'), packageJson.version);
    t.equal(label('licenses'), packageJson.license);
    t.match(label('revision'), /^[0-9a-f]{40}(-dirty)?$/);
    t.ok(label('source'));
  });

  t.test(`${name}: no shell, package manager, compiler or node_modules`, async (t) => {
    const files = await findIn(root, '-not', '-type', 'd');
    t.ok(files.some((path) => basename(path) === 'node'));
    t.same(
      [...files.filter((path) => UNWANTED.test(basename(path))), ...(await findIn(root, '-name', 'node_modules'))],
      [],
    );
  });

  t.test(`${name}: nothing of the build's npm settings or certificates is left`, async (t) => {
    const paths = await findIn(root);
    t.same(
      paths.filter((path) => /npmrc|\.pem$|\.npm$/.test(path)),
      [],
    );
  });

  t.test(`${name}: the bill of materials lists the packages, the Node and the Debian that are in it`, async (t) => {
    const bom = await bomOf(name);
    const listed = new Set(bom.components.map((component) => component.name));
    const contents = await readContents(root);
    t.equal(bom.components.find((component) => component.name === 'node')?.version, contents.nodeVersion);
    const owners = [...contents.dpkgStatus.matchAll(/^Package: (.*)$/gm)].map(([, owner = '']) => owner);
    t.ok(owners.includes('libc6'));
    for (const owner of owners) t.ok(listed.has(owner), owner);
  });
}

t.test('init-image and agent hold no npm package; the webhook holds those it is bundled from', async (t) => {
  const npm = async (name: string) =>
    (await bomOf(name)).components.flatMap(({ purl, name }) => (purl?.startsWith('pkg:npm/') ? name : []));
  for (const name of ['init-image', 'node-agent']) t.same(await npm(name), [], name);
  const inWebhook = await npm('webhook');
  for (const name of Object.keys(packageJson.dependencies)) t.ok(inWebhook.includes(name), name);
  for (const name of ['tap', 'esbuild', 'typescript', 'node']) t.notOk(inWebhook.includes(name), name);
});

t.test('the entry points and users are those of the contract', async (t) => {
  t.same(init.config.config.Entrypoint, INSTALL_COMMAND);
  t.equal(init.config.config.User, '0:0');
  t.same(webhook.config.config.Entrypoint, [
    'node',
    '--disable-sigusr1',
    '--max-semi-space-size=2',
    '--heap-growing-percent=20',
    '--expose-gc',
    '/opt/invalid-drop/webhook.js',
  ]);
  t.equal(webhook.config.config.User, '65532:65532');
  t.same(agent.config.config.Entrypoint, AGENT_COMMAND);
  t.equal(agent.config.config.User, '0:0');
});

kernelTest(
  'init-image: install puts the rule in with the programs of the image, and check confirms it',
  async (t, { pod }) => {
    const inPod = { user: '0:0', capabilities: ['net_admin'] };
    const before = await startInImage(pod, init.root, { ...inPod, command: [...CHECK_COMMAND, '--once'] }).end();
    t.equal(before.exitCode, 1, 'not guarded before');
    const installed = await startInImage(pod, init.root, { ...inPod, command: INSTALL_COMMAND }).end();
    t.equal(installed.exitCode, 0, installed.stdout + installed.stderr);
    t.ok(eventsOf({ output: installed.stdout }).some(({ event }) => event === 'guarded'));
    const checked = await startInImage(pod, init.root, { ...inPod, command: [...CHECK_COMMAND, '--once'] }).end();
    t.equal(checked.exitCode, 0, checked.stdout + checked.stderr);
    t.match(await pod.must('nft', ['list', 'ruleset']), /ct state invalid counter .* drop/);
  },
);

kernelTest(
  'init-image: the sidecar installs and serves on a read-only root, answers hook and probe, and ends when told',
  async (t, { pod }) => {
    const inPod = { user: '0:0', capabilities: ['net_admin'] };
    const checker = startInImage(pod, init.root, { ...inPod, command: SIDECAR_COMMAND });
    const hook = await startInImage(pod, init.root, { ...inPod, command: WAIT_COMMAND }).end();
    t.equal(hook.exitCode, 0, hook.stdout + hook.stderr);
    await checker.waitForOutput(/"event":"ready"/);
    const probe = await startInImage(pod, init.root, { ...inPod, command: [...CHECK_COMMAND, '--probe'] }).end();
    t.equal(probe.exitCode, 0, probe.stderr);
    t.equal((await checker.stop()).exitCode, 0);
  },
);

kernelTest('init-image: both backends of iptables are there, for both families', async (t, { pod }) => {
  for (const [program, backend] of [
    ['iptables-nft', 'nf_tables'],
    ['ip6tables-nft', 'nf_tables'],
    ['iptables-legacy', 'legacy'],
    ['ip6tables-legacy', 'legacy'],
    ['iptables', 'nf_tables'],
  ]) {
    const { stdout, stderr } = await startInImage(pod, init.root, {
      user: '0:0',
      command: [`${program}`, '--version'],
    }).end();
    t.match(stdout, `(${backend})`, `${program}: ${stderr}`);
  }
});

kernelTest('init-image: conntrack reaches the kernel with NET_ADMIN alone', async (t, { pod }) => {
  const command = ['conntrack', '-G', ...'-p tcp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2'.split(' ')];
  const { stderr } = await startInImage(pod, init.root, { user: '0:0', capabilities: ['net_admin'], command }).end();
  t.match(stderr, /such conntrack doesn't exist/);
});

kernelTest('init-image: the legacy backend writes the rule where a pod may use it', async (t, { pod }) => {
  const command = [...INSTALL_COMMAND, '--backend', 'legacy'];
  const capabilities = ['net_admin', 'net_raw'];
  const { exitCode, stdout, stderr } = await startInImage(pod, init.root, { user: '0:0', capabilities, command }).end();
  t.equal(exitCode, 0, stdout + stderr);
  t.match(await pod.must('iptables-legacy', ['-t', 'mangle', '-S', 'PREROUTING']), 'INVALID');
});

kernelTest('webhook: starts on a read-only root as its own user, with no capability', async (t, { pod }) => {
  const ask = (command: string[]) => startInImage(pod, webhook.root, { user: '65532:65532', command }).end();
  const help = await ask(['node', '/opt/invalid-drop/webhook.js', '--help']);
  t.equal(help.exitCode, 0, help.stderr);
  t.match(help.stdout, '--listen-address');
  const script = 'console.log(process.getuid(), require("node:fs").readFileSync("/proc/self/status", "utf8"))';
  t.match((await ask(['node', '-e', script])).stdout, /^65532 [\s\S]*CapEff:\t0+\n/);
});

kernelTest(
  "node-agent: reaches a pod's namespace with two capabilities, and not its own",
  async (t, { pod, gateway }) => {
    const volumes = ['/run/netns:/host/run/netns', '/proc/sys/net:/host/proc/sys/net'];
    const both = ['sys_admin', 'net_admin'];
    const as = (capabilities: string[], ...command: string[]) =>
      startInImage(gateway, agent.root, { user: '0:0', capabilities, volumes, command }).end();
    const ask = (...command: string[]) => as(both, ...command);
    const inPod = ['nsenter', `--net=/host/run/netns/${pod.name}`];
    await pod.must('nft', ['add', 'table', 'inet', 'of-the-pod']);
    const listed = await ask(...inPod, 'nft', 'list', 'tables');
    t.equal(listed.stdout, 'table inet of-the-pod\n', listed.stderr);
    for (const one of both) t.not((await as([one], ...inPod, 'nft', 'list', 'tables')).exitCode, 0, `${one} alone`);
    for (const program of ['prlimit', 'sleep', 'iptables-nft', 'conntrack'])
      t.equal((await ask(...inPod, program, '--version')).exitCode, 0, program);
    const sysctl = '/host/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal';
    const write = `require('node:child_process').execFileSync('nsenter', ['${inPod[1]}', 'tee', '${sysctl}'], { input: '1' })`;
    const written = await ask('node', '-e', write);
    t.equal(written.exitCode, 0, written.stderr);
    t.equal((await ask(...inPod, 'cat', sysctl)).stdout, '1\n', 'of the pod');
    t.equal((await ask('cat', sysctl)).stdout, '0\n', 'of the agent');
  },
);
