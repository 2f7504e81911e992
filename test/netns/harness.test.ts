// The harness itself: what the kernel tests, the demo and the bench rely on.

import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, addPair, type NetworkNamespace, pidsIn, sweep } from '../harness/netns/network-namespaces.ts';
import { isRunning, must, Program, startIn } from '../harness/netns/processes.ts';
import { containerSpec, startContainer } from '../harness/netns/shipped-programs.ts';
import { until } from '../harness/wait-until.ts';

const INCIDENT = fileURLToPath(new URL('incident.test.ts', import.meta.url));
const UPLOAD = fileURLToPath(new URL('../harness/traffic/upload.ts', import.meta.url));
/** A server that reads and never answers. */
const SILENT = 'require("net").createServer((s) => s.resume()).listen(9000, () => console.log("ready"))';
const namespaces = () => readdir('/run/netns').catch((): string[] => []);

/** A program in the namespace whose child outlives it when it is killed, as the checker's monitor would. */
async function leaveOrphan(pod: NetworkNamespace): Promise<number> {
  const parent = pod.start('sh', ['-c', 'sleep 600 & echo $!; wait']);
  const [, pid = ''] = await parent.waitForOutput(/(\d+)\n/);
  await parent.stop('SIGKILL');
  return Number(pid);
}

kernelTest('a namespace is removed with what killed programs left running in it', async (t) => {
  const pair = await addPair();
  const orphan = await leaveOrphan(pair.pod);
  t.equal(await isRunning(orphan), true);
  await pair.remove();
  await until('the orphan has ended', async () => !(await isRunning(orphan)));
  const left = await namespaces();
  t.notOk(left.includes(pair.pod.name) || left.includes(pair.gateway.name));
});

kernelTest('sweep removes the namespaces of runs that are gone, and no others', async (t, { pod }) => {
  const gone = new Program('true', []);
  await gone.end();
  const stale = `idrop-${gone.child.pid}-1-pod`;
  await must('ip', ['netns', 'add', stale]);
  const orphan = new Program('nsenter', [`--net=/run/netns/${stale}`, 'sleep', '600']);
  await until('the orphan is inside', async () => (await pidsIn(stale)).length > 0);
  await sweep();
  const left = await namespaces();
  t.notOk(left.includes(stale));
  t.ok(left.includes(pod.name));
  await orphan.end();
  t.equal(orphan.child.signalCode, 'SIGKILL');
});

kernelTest('a run that is interrupted leaves no namespace and no process', async (t) => {
  const run = new Program(process.execPath, [INCIDENT]);
  const own = async () => (await namespaces()).filter((name) => name.startsWith(`idrop-${run.child.pid}-`));
  const inside = async () => (await Promise.all((await own()).map(pidsIn))).flat();
  await until('programs run in its namespaces', async () => (await inside()).length > 1);
  const pids = await inside();
  t.not((await run.stop('SIGTERM')).exitCode, 0);
  t.same(await own(), []);
  for (const pid of pids) await until(`process ${pid} has ended`, async () => !(await isRunning(pid)));
});

kernelTest(
  'a container has a clean environment, no way to more privileges, and bundles it cannot change',
  async (t, { pod }) => {
    const script = 'env; grep NoNewPrivs /proc/self/status; id -u -g; touch /opt/invalid-drop/install.js /opt/x /run/x';
    const spec = {
      ...containerSpec('install', []),
      command: ['sh', '-c', script],
      env: [{ name: 'GIVEN', value: '1' }],
    };
    const { stdout, stderr } = await startContainer(pod, spec).end();
    const names = [...stdout.matchAll(/^(\w+)=/gm)].map(([, name]) => name).filter((name) => name !== 'PWD');
    t.same(names.sort(), ['GIVEN', 'PATH']);
    t.match(stdout, /^PATH=\S+\/node_modules\/node\/bin:/m, 'the Node that ships comes first');
    t.match(stdout, /^NoNewPrivs:\t1$/m);
    t.equal(stderr.match(/Read-only file system/g)?.length, 3, stderr);
  },
);

kernelTest('an upload that never ends is given up within its limit', async (t, { pod, gateway }) => {
  await pod.start(process.execPath, ['-e', SILENT]).waitForOutput(/ready/);
  const client = gateway.start(process.execPath, [UPLOAD, ADDRESS.pod.ipv4, '1000000', '1', '300']);
  const { stdout } = await client.end(10_000);
  t.match(JSON.parse(stdout), { ok: false, error: 'timed out' });
});

t.test('where a program is missing, kernel tests are skipped with a message, and fail in CI', async (t) => {
  const run = async (env: Record<string, string>) => {
    const program = new Program(process.execPath, [INCIDENT], { env: { PATH: '/nonexistent', ...env } });
    return program.end();
  };
  const skipped = await run({});
  t.equal(skipped.exitCode, 0);
  t.match(skipped.stderr, /^SKIPPED kernel test "uploads with stray segments: .* \(nft, ipv4\)": .*iptables-nft/m);
  const inCi = await run({ CI: 'true' });
  t.equal(inCi.exitCode, 1);
  t.match(inCi.stdout, /not ok/);
});

/** /proc/PID/stat of a process in this state, with so many threads. */
const stat = (state: string, threads: number) => `7 (a) (b) ${state}${' 0'.repeat(16)} ${threads} 0 4711 0 0`;

t.test('a process has ended when its last thread has', async (t) => {
  t.equal(startIn(stat('S', 1)), '4711');
  t.equal(startIn(stat('Z', 3)), '4711', 'the first thread has ended, and others hold the files');
  t.equal(startIn(stat('Z', 1)), undefined);
  t.equal(startIn(stat('X', 1)), undefined);
});
