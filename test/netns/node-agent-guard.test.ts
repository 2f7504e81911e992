// The node agent's guard on real network namespaces: it is in none of them itself.
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { EnteredNamespace } from '../../node-agent/guard/entered-namespace.ts';
import { readLiberal } from '../../node-agent/guard/liberal-conntrack.ts';
import { ProgramSlots } from '../../node-agent/guard/program-slots.ts';
import { guardDependencies, makeGuard, startGuard } from '../harness/netns/guarded-namespace.ts';
import { redirectRules } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { type NetworkNamespace, newName, pidsIn, remove } from '../harness/netns/network-namespaces.ts';
import { must, Program, run } from '../harness/netns/processes.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';
import type { ChangedExchange } from '../harness/never-worse/changed-exchange.ts';
import { ExchangeObserver } from '../harness/never-worse/observe-exchanges.ts';
import { until } from '../harness/wait-until.ts';

const OURS = `-A PREROUTING ${RULE.tcp}`;
const LIBERAL = '/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal';
const PROGRAM = fileURLToPath(new URL('../harness/netns/guard-program.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));
const TABLES = ['iptables', 'ip6tables'] as const;

const pathOf = ({ name }: { name: string }) => `/run/netns/${name}`;

/** PREROUTING of mangle, IPv4 and IPv6, as iptables-save prints it. */
async function rulesOf(pod: NetworkNamespace, backend: 'nft' | 'legacy' = 'nft'): Promise<string[]> {
  const saved = await Promise.all(TABLES.map((name) => pod.must(`${name}-${backend}-save`, ['-t', 'mangle'])));
  return saved.flatMap((text) => text.split('\n').filter((line) => line.startsWith('-A PREROUTING')));
}

const isLiberal = async (pod: NetworkNamespace) => (await pod.must('cat', [LIBERAL])).trim() === '1';
const setLiberal = (pod: NetworkNamespace, value: 0 | 1) => pod.must('tee', [LIBERAL], { input: `${value}\n` });

/** What the guard must never touch: the ruleset and the sysctl of the namespace that this process is in. */
async function ownState(): Promise<string> {
  const ruleset = await must('nft', ['list', 'ruleset']);
  return `${ruleset}${existsSync(LIBERAL) ? readFileSync(LIBERAL, 'utf8') : ''}`;
}

kernelTest('the whole cure is put in, and nothing happens to the namespace of the agent', async (t, { pod }) => {
  const before = await ownState();
  const { guard, states } = await startGuard(t, pathOf(pod));
  t.match(guard.state, { state: 'guarded', guardedAt: Number });
  t.equal(states.length, 1);
  t.same(await rulesOf(pod), [OURS, OURS]);
  t.match(await pod.must('nft', ['list', 'tables']), /table inet invalid-drop/);
  t.equal(await isLiberal(pod), true);
  const report = guard.report();
  const { putInAt = Number.POSITIVE_INFINITY, guardedAt = 0 } = report;
  t.ok(putInAt <= guardedAt, 'it is put in before it is verified');
  t.match(report, {
    state: 'guarded',
    result: 'guarded',
    exempt: true,
    families: { ipv4: { external: { interface: 'eth0', mustDrop: { holds: 'yes' } } } },
    evidence: { tcpBeLiberal: 1 },
    monitor: { running: true },
    beLiberal: { wanted: 'enabled', set: true, drift: 0 },
  });
  await until('one process is left', async () => (await pidsIn(pod.name)).length === 1);
  t.equal(await ownState(), before);
});

kernelTest('the incident is cured, from outside of the pod', async (t, pair) => {
  await startMesh(pair, 'nft');
  await startStrays(pair.gateway, 50);
  for (const { ok } of await upload(pair, 'ipv4', UPLOAD, 1)) t.equal(ok, false, 'it is reset without the guard');
  const { guard } = await startGuard(t, pathOf(pair.pod));
  t.equal(guard.state.state, 'guarded');
  const before = await countStrays(pair.gateway);
  for (const family of ['ipv4', 'ipv6'] as const)
    for (const { ok, error } of await upload(pair, family, UPLOAD, 1)) t.equal(ok, true, error ?? 'passes');
  t.ok((await countStrays(pair.gateway)) > before, 'there were stray segments');
});

kernelTest('what is dropped between the first checks and the first look is counted', async (t, pair) => {
  await startMesh(pair, 'nft');
  const { guard } = await startGuard(t, pathOf(pair.pod), { beLiberal: 'disabled', rescue: 'disabled' });
  await until('the check after the start of the monitor has been made', () => guard.report().checks.schedule > 0);
  await startStrays(pair.gateway, 50);
  for (const { ok, error } of await upload(pair, 'ipv4', UPLOAD, 1)) t.equal(ok, true, error ?? 'passes');
  const shifted = await countStrays(pair.gateway);
  t.equal(guard.report().prevented.ipv4.packets, 0, 'no check has counted them');
  guard.look();
  await until('they are counted', () => guard.report().prevented.ipv4.packets > 0);
  t.equal(guard.report().prevented.ipv4.packets, shifted);
});

/** Connections that hang with the rule alone: a segment is half a window over it. */
const HANGING: ChangedExchange[] = Array.from({ length: 4 }, (_, seed) => ({
  route: 'redirected',
  segment: 'request',
  change: { sequence: 65_160 + 30_000 },
  script: 0,
  seed,
  family: seed % 2 === 0 ? 'ipv4' : 'ipv6',
}));

for (const beLiberal of ['enabled', 'disabled'] as const) {
  kernelTest(`no connection hangs, be-liberal ${beLiberal}`, async (t, pair) => {
    const observer = await ExchangeObserver.start(pair);
    const { guard } = await startGuard(t, pathOf(pair.pod), { beLiberal });
    const observed = await observer.observe(HANGING);
    t.same(
      observed.map(({ fate }) => fate),
      HANGING.map(() => 'fine'),
    );
    const { strays } = guard.report();
    t.equal(strays.rescue, beLiberal === 'enabled' ? 'disabled' : 'enabled');
    if (beLiberal === 'disabled') t.ok(strays.rescued >= HANGING.length, `${strays.rescued} rescued`);
    t.equal(await isLiberal(pair.pod), beLiberal === 'enabled');
  });
}

type Loss = { name: string; lose(pod: NetworkNamespace): Promise<unknown> };
const LOSSES: Loss[] = [
  {
    name: 'the rule is deleted',
    lose: (pod) => pod.must('iptables-nft', ['-t', 'mangle', '-D', 'PREROUTING', ...RULE.tcp.split(' ')]),
  },
  { name: 'the chain is flushed', lose: (pod) => pod.must('ip6tables-nft', ['-t', 'mangle', '-F']) },
  {
    name: 'a rule before it accepts',
    lose: (pod) => pod.must('iptables-nft', ['-t', 'mangle', '-I', 'PREROUTING', '1', '-p', 'tcp', '-j', 'ACCEPT']),
  },
  { name: 'the whole ruleset is flushed', lose: (pod) => pod.must('nft', ['flush', 'ruleset']) },
  { name: 'the exemption is deleted', lose: (pod) => pod.must('nft', ['delete', 'table', 'inet', 'invalid-drop']) },
];

for (const beLiberal of ['enabled', 'disabled'] as const) {
  kernelTest(`each loss is seen by event, and repaired (be-liberal ${beLiberal})`, async (t, { pod }) => {
    const { guard, next } = await startGuard(t, pathOf(pod), { beLiberal });
    for (const { name, lose } of LOSSES) {
      await lose(pod);
      const lost = await next(name.includes('exemption') ? 'exemption-lost' : 'drift');
      t.match(lost['by'], [{ process: /nft/ }], name);
      await next('repaired');
      const rules = await rulesOf(pod);
      t.equal(rules.filter((line) => line === OURS).length, 2, `${name}: one rule a family`);
      t.equal(rules[0], OURS, name);
      t.match(await pod.must('nft', ['list', 'tables']), /table inet invalid-drop/, name);
    }
    t.match(guard.report(), { guarded: true, exempt: true, repairs: LOSSES.length, repairFailures: 0 });
    await until('it is said to be guarded', () => guard.state.state === 'guarded');
  });
}

kernelTest('nf_conntrack_tcp_be_liberal that is set to 0 is found at the next check', async (t, { pod }) => {
  const { guard, next } = await startGuard(t, pathOf(pod));
  await setLiberal(pod, 0);
  await pod.must('nft', ['add', 'table', 'inet', 'other']);
  await next('be-liberal-lost');
  await until('it is set again', () => isLiberal(pod));
  await until('it is counted', () => guard.report().beLiberal.repairs === 1);
  t.match(guard.report().beLiberal, { drift: 1, set: true });
});

kernelTest('legacy rules are checked on schedule', async (t, { pod }) => {
  for (const name of TABLES) {
    const input = redirectRules(name === 'iptables' ? 'ipv4' : 'ipv6');
    await pod.must(`${name}-legacy-restore`, ['--noflush'], { input });
  }
  const { next, guard } = await startGuard(t, pathOf(pod), {}, { interval: 200 });
  t.same(await rulesOf(pod, 'legacy'), [OURS, OURS]);
  await pod.must('iptables-legacy', ['-t', 'mangle', '-F']);
  await next('drift');
  await next('repaired');
  t.same(await rulesOf(pod, 'legacy'), [OURS, OURS]);
  t.equal(guard.report().drift, 1);
});

kernelTest('on-drift report: the cure is put in once, and what is lost is told', async (t, { pod }) => {
  const { guard, next } = await startGuard(t, pathOf(pod), { onDrift: 'report' });
  t.equal(guard.state.state, 'guarded');
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await next('drift');
  await until('it is told', () => guard.state.state === 'not-guarded');
  t.match(guard.state.reason, /^ipv4 on \w+, .*no rule drops/);
  t.same(await rulesOf(pod), [OURS]);
});

/** All rules of a pod but for counters. */
async function everyRule(pod: NetworkNamespace): Promise<string> {
  const saves = TABLES.map((name) => pod.must(`${name}-legacy-save`));
  const texts = await Promise.all([pod.must('nft', ['--stateless', 'list', 'ruleset']), ...saves]);
  return texts
    .join('')
    .replace(/^#.*\n/gm, '')
    .replace(/\[\d+:\d+\]/g, '');
}

/** A pod with rules of others in each form. */
async function addRulesOfOthers(pod: NetworkNamespace): Promise<void> {
  const mangle =
    '*mangle\n-A PREROUTING -p udp --dport 53 -j ACCEPT\n-A PREROUTING -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n';
  for (const name of TABLES) {
    const input = `${redirectRules(name === 'iptables' ? 'ipv4' : 'ipv6')}${mangle}`;
    await pod.must(`${name}-nft-restore`, ['--noflush'], { input });
    await pod.must(`${name}-legacy-restore`, ['--noflush'], {
      input: '*filter\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n',
    });
  }
  const chain = 'chain c { type filter hook prerouting priority -160; tcp dport { 22, 80 } counter accept; }';
  await pod.must('nft', ['-f', '-'], { input: `table inet other {\n${chain}\n}\n` });
}

kernelTest('withdraw takes out what is ours, and nothing else', async (t, { pod }) => {
  await addRulesOfOthers(pod);
  const before = await everyRule(pod);
  const { guard } = await startGuard(t, pathOf(pod));
  t.equal(guard.state.state, 'guarded');
  t.not(await everyRule(pod), before);
  // As two installers leave it that did not know of each other.
  await pod.must('iptables-nft', ['-t', 'mangle', '-A', 'PREROUTING', ...RULE.tcp.split(' ')]);
  await guard.withdraw();
  t.equal(await everyRule(pod), before);
  t.equal(await isLiberal(pod), true, 'connections may rely on it');
  t.same(await pidsIn(pod.name), []);
  await makeGuard(t, pathOf(pod)).guard.withdraw();
  t.equal(await everyRule(pod), before, 'a second time, by a guard that was never started');
});

kernelTest('withdraw where the rule is in iptables-legacy, and in a table of its own', async (t, { pod }) => {
  await pod.must('iptables-legacy', ['-t', 'mangle', '-A', 'PREROUTING', '-p', 'udp', '-j', 'ACCEPT']);
  await pod.must('nft', ['-f', '-'], {
    input: 'table ip6 mangle {\nchain PREROUTING { ip6 saddr 2001:db8::1 drop; }\n}\n',
  });
  const before = await everyRule(pod);
  const { guard, lines } = await startGuard(t, pathOf(pod));
  t.match(
    lines.find(({ event }) => event === 'installed'),
    {
      families: { ipv4: { backend: 'legacy' }, ipv6: { form: 'table' } },
    },
  );
  await guard.withdraw();
  t.equal(await everyRule(pod), before);
});

kernelTest("for all protocols Istio's own rule stays, which is the same", async (t, { pod }) => {
  await pod.must('iptables-nft', [
    '-t',
    'mangle',
    '-A',
    'PREROUTING',
    '-m',
    'conntrack',
    '--ctstate',
    'INVALID',
    '-j',
    'DROP',
  ]);
  const before = await rulesOf(pod);
  const first = await startGuard(t, pathOf(pod), { protocol: 'all' });
  t.equal((await rulesOf(pod)).length, 2, 'IPv6 lacks it');
  first.guard.stop();
  const { guard } = await startGuard(t, pathOf(pod), { protocol: 'all' });
  await guard.withdraw();
  t.same((await rulesOf(pod))[0], before[0]);
});

kernelTest('of a pod that nobody guards it can be told whether conntrack is liberal', async (t, { pod }) => {
  const { slots, procSysNet, commandTimeout: timeout } = guardDependencies();
  const entered = (inode = statSync(pathOf(pod)).ino) =>
    new EnteredNamespace({ path: pathOf(pod), inode }, { slots, procSysNet, timeout });
  t.equal(await readLiberal(entered()), false);
  await pod.must('iptables-nft', ['-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'INVALID', '-j', 'DROP']);
  await setLiberal(pod, 1);
  t.equal(await readLiberal(entered()), true);
  await setLiberal(pod, 0);
  t.equal(await readLiberal(entered()), false);
  t.equal(await readLiberal(entered(7)), undefined, 'the file is another namespace by now');
  await until('no process is left', async () => (await pidsIn(pod.name)).length === 0);
});

kernelTest('a namespace that another user namespace owns (hostUsers: false)', async (t) => {
  const name = newName('userns');
  t.teardown(() => remove(name));
  const args = ['--user', '--map-root-user', '--net', 'sh', '-c', 'ip link set lo up && echo ready && exec cat'];
  const owner = new Program('unshare', args);
  await owner.waitForOutput(/ready/);
  await must('ip', ['netns', 'attach', name, String(owner.child.pid)]);
  const { guard } = await startGuard(t, `/run/netns/${name}`);
  t.match(guard.report(), { state: 'guarded', result: 'guarded', beLiberal: { set: true } });
  const inside = await run('nsenter', [`--net=/run/netns/${name}`, 'nft', 'list', 'ruleset']);
  t.match(inside.stdout, /ct state invalid .*drop/);
});

kernelTest('the namespace is deleted meanwhile: no error, and it is said that it has gone', async (t, { pod }) => {
  const { guard, lines, states } = await startGuard(t, pathOf(pod));
  await must('ip', ['netns', 'del', pod.name]);
  guard.look();
  guard.look();
  t.match(guard.state, { state: 'starting', gone: true, reason: /has gone/ });
  t.equal(states.length, 2);
  t.same(
    lines.filter(({ level }) => level !== 'info'),
    [],
  );
  await guard.withdraw();
});

kernelTest('it is deleted while the cure is put in', async (t, { pod }) => {
  const { guard, lines } = makeGuard(t, pathOf(pod));
  const started = guard.start();
  await must('ip', ['netns', 'del', pod.name]);
  await started;
  guard.look();
  t.match(guard.state, { gone: true });
  t.same(
    lines.filter(({ level }) => level === 'error'),
    [],
  );
});

kernelTest('a file that is another namespace by now is not entered', async (t, { pod, gateway }) => {
  const { guard } = makeGuard(t, pathOf(pod));
  await must('umount', [pathOf(pod)]);
  await must('mount', ['--bind', pathOf(gateway), pathOf(pod)]);
  t.teardown(() => run('umount', [pathOf(pod)]));
  await guard.start();
  t.match(guard.state, { state: 'starting', gone: true });
  t.equal((await gateway.must('nft', ['list', 'ruleset'])).trim(), '');
});

/** Beside it programs of a check may run, which may have ended meanwhile. */
function isMonitor(pid: number): boolean {
  return existsSync(`/proc/${pid}/cmdline`) && /monitor/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
}

/** Until the test's end, these shell scripts stand in for the programs of those names. */
function replacePrograms(t: Test, scripts: Record<string, string>): void {
  const files = Object.entries(scripts).map(([name, script]) => [name, `#!/bin/sh\n${script}\n`]);
  const folder = t.testdir(Object.fromEntries(files));
  for (const name of Object.keys(scripts)) chmodSync(`${folder}/${name}`, 0o755);
  const path = process.env['PATH'] ?? '';
  process.env['PATH'] = `${folder}:${path}`;
  t.teardown(() => Object.assign(process.env, { PATH: path }));
}

kernelTest('what is lost before the monitor listens is found soon after its start', async (t, { pod }) => {
  replacePrograms(t, { stdbuf: 'exec sleep 600' });
  const { guard, next } = await startGuard(t, pathOf(pod));
  await pod.must('nft', ['flush', 'ruleset']);
  await next('repaired');
  t.match(guard.report(), { guarded: true, checks: { event: 0, schedule: 1 } });
});

for (const beLiberal of ['enabled', 'disabled'] as const) {
  kernelTest(`a monitor that is killed is started again (be-liberal ${beLiberal})`, async (t, { pod }) => {
    const { guard, next } = await startGuard(t, pathOf(pod), { beLiberal });
    for (const pid of await pidsIn(pod.name)) if (isMonitor(pid)) process.kill(pid, 'SIGKILL');
    await next('monitor-ended');
    await until('it runs again', () => guard.report().monitor.restarts === 1);
    await pod.must('nft', ['flush', 'ruleset']);
    await next('repaired');
    t.match(guard.report(), { guarded: true, drift: 1, monitor: { running: true } });
    await until('what stood in for it has ended', async () => (await pidsIn(pod.name)).length === 1);
  });

  kernelTest(`while no monitor can run, checks go on by schedule (be-liberal ${beLiberal})`, async (t, { pod }) => {
    const nft = (await must('sh', ['-c', 'command -v nft'])).trim();
    replacePrograms(t, { stdbuf: 'exit 1', nft: `[ "$1" = monitor ] && exit 1\nexec ${nft} "$@"` });
    const { guard, next } = await startGuard(t, pathOf(pod), { beLiberal }, { interval: 200 });
    t.equal(guard.state.state, 'guarded');
    await next('monitor-ended');
    await pod.must('nft', ['flush', 'ruleset']);
    await next('repaired');
    t.match(guard.report(), { guarded: true, monitor: { running: false } });
  });
}

kernelTest('a pod with SYNPROXY is left as it is, and it is said why', async (t, { pod }) => {
  const options = '-j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460';
  const rule = `-A INPUT -p tcp --dport 9000 -m conntrack --ctstate INVALID,UNTRACKED ${options}`;
  await pod.must('iptables-nft-restore', ['--noflush'], { input: `*filter\n${rule}\nCOMMIT\n` });
  const { guard } = await startGuard(t, pathOf(pod));
  t.match(guard.state, { state: 'not-guarded', reason: /SYNPROXY/ });
  t.same(await rulesOf(pod), [OURS], 'IPv6 has none');
});

/** Arguments: the mount of /proc/sys/net, then the program. In a mount namespace of its own. */
const MOUNT = 'mount --bind /proc/sys/net "$1" && shift && exec "$@"';

/** The guard as a container of the agent would have it: two capabilities, /proc/sys/net alone mounted elsewhere. */
function startLimited(t: Test, pod: NetworkNamespace, capabilities: string): Program {
  const folder = t.testdir({ net: {} });
  const limits = ['--inh-caps', capabilities, '--bounding-set', capabilities, '--no-new-privs'];
  const program = ['env', '-i', `PATH=${process.env['PATH']}`, NODE, PROGRAM, pathOf(pod), `${folder}/net`];
  const mounts = ['--mount', '--propagation', 'slave', 'sh', '-c', MOUNT, 'sh', `${folder}/net`];
  return new Program('unshare', [...mounts, 'setpriv', '--clear-groups', ...limits, ...program]);
}

kernelTest('CAP_SYS_ADMIN and CAP_NET_ADMIN are enough, with /proc/sys/net mounted by itself', async (t, { pod }) => {
  const before = await ownState();
  const agent = startLimited(t, pod, '-all,+sys_admin,+net_admin');
  await agent.waitForOutput(/"event":"report"/);
  t.match(agent.output, /"state":"guarded".*"beLiberal":\{"wanted":"enabled","set":true,"drift":0/);
  t.equal(await isLiberal(pod), true);
  t.equal(await ownState(), before);
  await pod.must('nft', ['flush', 'ruleset']);
  await agent.waitForOutput(/"event":"repaired"/);
  agent.child.stdin?.end();
  t.equal((await agent.end()).exitCode, 0);
  t.same(await pidsIn(pod.name), []);
});

kernelTest('without CAP_SYS_ADMIN it cannot tell, and says what it needs', async (t, { pod }) => {
  const agent = startLimited(t, pod, '-all,+net_admin');
  await agent.waitForOutput(/"state":"cannot-tell"/);
  t.match(agent.output, /"state":"cannot-tell","reason":"[^"]*CAP_SYS_ADMIN/);
  agent.child.stdin?.end();
  await agent.end();
});

kernelTest('a pod that fills its own sets costs the agent no memory', async (t, { pod }) => {
  const { next } = await startGuard(t, pathOf(pod), { beLiberal: 'disabled' }, { interval: 200 });
  const elements = Array.from({ length: 200_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  const input = `table ip big { set s { type ipv4_addr; elements = { ${elements.join(', ')} }; }\n}\n`;
  await pod.must('nft', ['-f', '-'], { input });
  await next('monitor-ended');
  await pod.must('nft', ['delete', 'table', 'ip', 'big']);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await next('repaired');
});

kernelTest('a pod of which no check succeeds goes before no other', async (t, { pod }) => {
  const seen: boolean[] = [];
  const slots = new ProgramSlots(1);
  slots.run = async (urgent) => {
    seen.push(urgent);
    throw new Error('no program runs');
  };
  const { guard } = await startGuard(t, pathOf(pod), {}, { slots });
  t.equal(guard.state.state, 'cannot-tell');
  t.same(new Set(seen), new Set([true]));
  await until('it is checked again', () => seen.includes(false));
});
