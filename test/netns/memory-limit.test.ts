// The programs under the memory limit of the shipped manifests, as a cgroup of the kernel's.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { type ContainerSpec, containerSpec, eventsOf, startContainer } from '../harness/netns/shipped-programs.ts';
import { until } from '../harness/wait-until.ts';
import { SETTINGS } from '../webhook/admission/injection-settings.ts';

/** Where cgroups that limit memory are made, and the file of the limit: version 2, or version 1. */
const CGROUPS = [
  { folder: '/sys/fs/cgroup', needs: '/sys/fs/cgroup/memory.stat', file: 'memory.max' },
  { folder: '/sys/fs/cgroup/memory', needs: '/sys/fs/cgroup/memory/memory.stat', file: 'memory.limit_in_bytes' },
];
const MEMORY = `${Number.parseInt(SETTINGS.initResources.limits['memory'] ?? '', 10)}M`;

let made = 0;

/** A cgroup with the limit, gone at the test's end; undefined where this machine has none. */
function limitedCgroup(t: Test): string | undefined {
  const kind = CGROUPS.find(
    ({ folder, needs, file }) => existsSync(needs) && (file !== 'memory.max' || enabled(folder)),
  );
  if (kind === undefined) return undefined;
  const cgroup = `${kind.folder}/invalid-drop-test-${process.pid}-${++made}`;
  mkdirSync(cgroup);
  // What was killed at the end of a program leaves the cgroup a moment later.
  t.teardown(() => until('the cgroup is empty', () => removed(cgroup)));
  writeFileSync(`${cgroup}/${kind.file}`, MEMORY);
  return cgroup;
}

function removed(cgroup: string): boolean {
  try {
    rmdirSync(cgroup);
    return true;
  } catch {
    return false;
  }
}

/** Whether the groups below may have limits: never changed here, for it is the whole machine's. */
function enabled(folder: string): boolean {
  return readFileSync(`${folder}/cgroup.subtree_control`, 'utf8').includes('memory');
}

/** The same container in the cgroup. It sees /sys as it is: a read-only one of its own would hide the cgroup. */
function limited(spec: ContainerSpec, cgroup: string): ContainerSpec {
  const enter = ['sh', '-c', `echo $$ > ${cgroup}/cgroup.procs; exec "$@"`, 'sh'];
  const { readOnlyRootFilesystem: _, ...securityContext } = spec.securityContext ?? {};
  return { ...spec, command: [...enter, ...(spec.command ?? [])], securityContext };
}

const rules = (count: number) =>
  Array.from({ length: count }, (_, i) => `ip saddr 10.0.${i >> 8}.${i & 255} tcp dport 80 counter accept\n`).join('');

const fill = (pod: NetworkNamespace, count: number) =>
  pod.must('nft', ['-f', '-'], {
    input: `table ip large {\nchain c {\ntype filter hook input priority 0;\n${rules(count)}}\n}\n`,
  });

/** 8,000 rules where connections are redirected, as a proxy of services writes them. */
const SERVICES = [
  '*nat\n:PREROUTING ACCEPT\n:SERVICES -\n-A PREROUTING -j SERVICES',
  ...Array.from(
    { length: 8000 },
    (_, i) => `-A SERVICES -d 10.0.${i >> 8}.${i & 255}/32 -p tcp -m tcp --dport 80 -j ACCEPT`,
  ),
  'COMMIT\n',
].join('\n');

kernelTest('thousands of rules that no verdict depends on cost no memory', async (t, { pod }) => {
  const cgroup = limitedCgroup(t);
  if (cgroup === undefined) return void t.pass('no cgroup of this machine limits memory');
  await pod.must('iptables-nft-restore', ['--noflush'], { input: SERVICES });
  const installing = await startContainer(pod, limited(containerSpec('install', ['NET_ADMIN']), cgroup)).end();
  t.equal(installing.exitCode, 0, installing.stdout);
  const checker = startContainer(pod, limited(containerSpec('check', ['NET_ADMIN']), cgroup));
  await checker.waitForOutput(/"event":"ready"/);
  t.notMatch(checker.output, /"event":"monitor-ended"/, 'each change is reported here too');
  await pod.must('iptables-nft', ['-t', 'mangle', '-F', 'PREROUTING']);
  await checker.waitForOutput(/"event":"repaired"/, 30_000);
  t.equal((await checker.stop('SIGTERM')).exitCode, 0);
});

/** All of them decide about arriving packets. */
const DISTINCT = [
  '*mangle\n:PREROUTING ACCEPT',
  ...Array.from(
    { length: 3000 },
    (_, i) => `-A PREROUTING -s 10.${i >> 8}.${i & 255}.7/32 -p tcp -m tcp --dport ${1000 + i} -j ACCEPT`,
  ),
  'COMMIT\n',
].join('\n');

kernelTest(
  'thousands of rules that have to be judged are judged within the memory of the container',
  async (t, { pod }) => {
    const cgroup = limitedCgroup(t);
    if (cgroup === undefined) return void t.pass('no cgroup of this machine limits memory');
    await pod.must('iptables-nft-restore', ['--noflush'], { input: DISTINCT });
    const installing = await startContainer(pod, limited(containerSpec('install', ['NET_ADMIN']), cgroup)).end();
    t.equal(installing.exitCode, 0, installing.stdout);
    const checker = startContainer(pod, limited(containerSpec('check', ['NET_ADMIN']), cgroup));
    await checker.waitForOutput(/"event":"ready"/);
    t.equal((await checker.stop('SIGTERM')).exitCode, 0);
  },
);

kernelTest('a ruleset too large for the container ends no installer of observe, and is told', async (t, { pod }) => {
  const cgroup = limitedCgroup(t);
  if (cgroup === undefined) return void t.pass('no cgroup of this machine limits memory');
  await fill(pod, 12_000);
  for (const [mode, code] of [
    ['observe', 0],
    ['enforce', 1],
  ] as const) {
    const spec = limited(containerSpec('install', ['NET_ADMIN']), cgroup);
    const { exitCode, stdout } = await startContainer(pod, spec, { INVALID_DROP_MODE: mode }).end();
    t.equal(exitCode, code, mode);
    const failed = eventsOf({ output: stdout }).find(({ event }) => event === 'failed');
    t.match(failed, { code: 'COMMAND_TOO_LARGE', message: /^nft .* MiB, .*init-resources/ });
  }
});

kernelTest('a checker of observe stays where the ruleset grows too large', async (t, { pod }) => {
  const cgroup = limitedCgroup(t);
  if (cgroup === undefined) return void t.pass('no cgroup of this machine limits memory');
  const spec = limited(containerSpec('check', ['NET_ADMIN']), cgroup);
  const checker = startContainer(pod, spec, { INVALID_DROP_MODE: 'observe' });
  await checker.waitForOutput(/"event":"ready"/);
  await fill(pod, 12_000);
  await checker.waitForOutput(/"event":"check-failed","code":"COMMAND_TOO_LARGE"/);
  await pod.must('nft', ['delete', 'table', 'ip', 'large']);
  await pod.must('nft', ['flush', 'ruleset']);
  await checker.waitForOutput(/"event":"drift"[\s\S]*"event":"ready"/);
  t.equal((await checker.stop('SIGTERM')).exitCode, 0);
});
