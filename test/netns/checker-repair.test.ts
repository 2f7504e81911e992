import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import type { Program } from '../harness/netns/processes.ts';
import {
  containerSpec,
  eventsOf,
  getPage,
  install,
  startChecker,
  startContainer,
} from '../harness/netns/shipped-programs.ts';
import { SHAPER } from '../harness/random-rulesets/observer.ts';
import { until } from '../harness/wait-until.ts';

const CONNECTOR = fileURLToPath(new URL('../harness/random-rulesets/connector.ts', import.meta.url));
const BOTH = ['NET_ADMIN', 'NET_RAW'];
const LISTENER = "require('node:net').createServer().listen(15099, () => console.log('listening'))";
const LOCK_HOLDER =
  "require('node:net').createServer(() => 0).listen({ path: '\\0invalid-drop.lock' }, () => console.log('listening'))";
const REPAIRED = /"event":"repaired"[\s\S]*"event":"ready"/;
const SELFCHECK = 'http://127.0.0.1:15099/selfcheck';

async function selfcheck(pod: NetworkNamespace) {
  const { status, body } = await getPage(pod, SELFCHECK);
  return { status, report: JSON.parse(body) };
}

type Way = { name: string; lose(pod: NetworkNamespace, iptables: string): Promise<unknown> };
const WAYS: Way[] = [
  { name: 'deleted', lose: (pod, iptables) => pod.must(iptables, ['-t', 'mangle', '-D', 'PREROUTING', '1']) },
  { name: 'flushed', lose: (pod, iptables) => pod.must(iptables, ['-t', 'mangle', '-F', 'PREROUTING']) },
  {
    name: 'behind an ACCEPT',
    lose: (pod, iptables) => pod.must(iptables, ['-t', 'mangle', '-I', 'PREROUTING', '1', '-p', 'tcp', '-j', 'ACCEPT']),
  },
  {
    name: 'replaced by iptables-restore',
    lose: (pod, iptables) => pod.must(`${iptables}-restore`, [], { input: '*mangle\nCOMMIT\n' }),
  },
];
const NFT_WAYS: Way[] = [
  ...WAYS,
  { name: 'gone with its nft table', lose: (pod) => pod.must('nft', ['delete', 'table', 'ip', 'mangle']) },
  { name: 'gone with the whole nft ruleset', lose: (pod) => pod.must('nft', ['flush', 'ruleset']) },
];

/** Loses the rule in each way, one after the other, and tests that the checker puts it back. */
async function loseAndRepair(t: Test, pod: NetworkNamespace, checker: Program, ways: Way[], iptables: string) {
  for (const { name, lose } of ways) {
    checker.output = '';
    await lose(pod, iptables);
    await checker.waitForOutput(REPAIRED);
    const [drift, notReady, repaired, ready] = eventsOf(checker).filter(({ event }) => event !== 'exemption-lost');
    t.same(
      [drift?.event, notReady?.event, repaired?.event, ready?.event],
      ['drift', 'not-ready', 'repaired', 'ready'],
      name,
    );
    t.match(drift, { lost: [`ip mangle PREROUTING: -A PREROUTING ${RULE.tcp}`] }, name);
    const saved = await pod.must(`${iptables}-save`, ['-t', 'mangle']);
    t.equal(saved.split('\n').filter((line) => line.includes('INVALID')).length, 1, `${name}: one rule`);
  }
}

kernelTest(
  'each way to lose the nft rule is seen by event, logged with the process, and repaired',
  async (t, { pod }) => {
    t.equal((await install(pod)).exitCode, 0);
    const checker = await startChecker(pod, { INVALID_DROP_INTERVAL: '3600' });
    await loseAndRepair(t, pod, checker, NFT_WAYS, 'iptables-nft');
    const { report } = await selfcheck(pod);
    t.match(report, {
      guarded: true,
      ready: true,
      drift: 6,
      repairs: 6,
      readiness: { lost: 6 },
      monitor: { running: true },
    });
  },
);

kernelTest('the log names the process that took the rule away', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await checker.waitForOutput(REPAIRED);
  const drift = eventsOf(checker).find(({ event }) => event === 'drift');
  t.match(drift, { by: [{ process: 'iptables-nft', pid: Number, lines: [/^-4 -t mangle -D PREROUTING /] }] });
});

kernelTest('each way to lose the legacy rule is seen on schedule and repaired', async (t, { pod }) => {
  t.equal((await install(pod, { INVALID_DROP_BACKEND: 'legacy' }, BOTH)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_INTERVAL: '1' }, BOTH);
  await loseAndRepair(t, pod, checker, WAYS, 'iptables-legacy');
});

kernelTest('report leaves the ruleset alone, and the pod is not ready until the rule is back', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_ON_DRIFT: 'report' });
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
  await pod.must('ip6tables-nft', ['-t', 'mangle', '-F']);
  await checker.waitForOutput(/"event":"not-ready"/);
  t.match(await getPage(pod, 'http://127.0.0.1:15099/readyz'), {
    status: 503,
    body: /^ipv6 on \w+, ipv6 on \w+: no rule drops/,
  });
  t.match(await selfcheck(pod), {
    status: 503,
    report: { guarded: false, drift: 1, repairs: 0, result: 'not guarded' },
  });
  checker.output = '';
  await pod.must('ip6tables-nft', ['-t', 'mangle', '-A', 'PREROUTING', ...RULE.tcp.split(' ')]);
  await checker.waitForOutput(/"event":"ready"/);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
});

kernelTest('it answers on all addresses, IPv4 and IPv6, to each host of the network', async (t, { pod, gateway }) => {
  t.equal((await install(pod)).exitCode, 0);
  await startChecker(pod);
  for (const host of [ADDRESS.pod.ipv4, `[${ADDRESS.pod.ipv6}]`]) {
    t.equal((await getPage(gateway, `http://${host}:15099/readyz`)).status, 200);
    t.match(await getPage(gateway, `http://${host}:15099/metrics`), {
      status: 200,
      body: /^invalid_drop_guarded\{family="ipv6",interface="external"\} 1$/m,
    });
  }
});

kernelTest('a dormant table guards nothing, though iptables still lists the rule', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_ON_DRIFT: 'report' });
  await pod.must('nft', ['add', 'table', 'ip', 'mangle', '{ flags dormant; }']);
  await checker.waitForOutput(/"event":"not-ready"/);
  t.match((await selfcheck(pod)).report.families.ipv4.external, { mustDrop: { holds: 'no' } });
  await pod.must('nft', ['add', 'table', 'ip', 'mangle']);
  await checker.waitForOutput(/"event":"not-ready"[\s\S]*"event":"ready"/);
});

kernelTest('a monitor that is killed is started again, and drift is still repaired', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_INTERVAL: '3600' });
  for (const pid of await pod.processes()) {
    if ((await readFile(`/proc/${pid}/comm`, 'utf8')) === 'xtables-monitor\n') process.kill(pid, 'SIGKILL');
  }
  await checker.waitForOutput(/"event":"monitor-ended"/);
  await until('it runs again', async () => (await selfcheck(pod)).report.monitor.restarts === 1);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await checker.waitForOutput(REPAIRED);
  // The page that was asked above stays as it is for a second.
  await until('the report counts it', async () => (await selfcheck(pod)).report.drift === 1);
  t.match((await selfcheck(pod)).report, { guarded: true, monitor: { running: true, restarts: 1 } });
});

kernelTest('drops are counted, although the ruleset does not change', async (t, pair) => {
  const { pod, gateway } = pair;
  t.equal((await install(pod)).exitCode, 0);
  await startChecker(pod, { INVALID_DROP_INTERVAL: '1' });
  await gateway.must('nft', ['-f', '-'], { input: SHAPER });
  const connector = gateway.start(process.execPath, [CONNECTOR]);
  for (let wanted = 1; wanted <= 2; wanted++) {
    connector.child.stdin?.write(`close\n${ADDRESS.pod.ipv4} 9001 4900${wanted}\n`);
    await until('the drop is counted', async () => {
      return (await selfcheck(pod)).report.prevented.ipv4.packets >= wanted;
    });
  }
  t.match((await selfcheck(pod)).report, { guarded: true, drift: 0, checks: { event: 0 } });
});

kernelTest('SIGTERM ends it, and its monitor with it', async (t, { pod }) => {
  const checker = await startChecker(pod, { INVALID_DROP_ON_DRIFT: 'report' });
  t.equal((await checker.stop('SIGTERM')).exitCode, 0);
  t.same(await pod.processes(), []);
});

kernelTest('--once tells by its exit code: guarded, not guarded, cannot tell', async (t, { pod }) => {
  const once = async () => {
    const { exitCode, stdout } = await startContainer(pod, containerSpec('check', ['NET_ADMIN'], '--once')).end();
    return { exitCode, result: JSON.parse(stdout).result };
  };
  t.match(await once(), { exitCode: 1, result: 'not guarded' });
  await install(pod);
  t.match(await once(), { exitCode: 0, result: 'guarded' });
  const maybe = '-t mangle -I PREROUTING 1 -m statistic --mode nth --every 2 --packet 0 -j ACCEPT'.split(' ');
  await pod.must('iptables-nft', maybe);
  t.match(await once(), { exitCode: 2, result: 'cannot tell' });
});

/** On SIGUSR2 the clock that the program reads is an hour ahead. */
const STEP = `const { now } = Date;
let ahead = 0;
Date.now = () => now() + ahead;
process.on('SIGUSR2', () => {
  ahead = 3_600_000;
  console.log('{"event":"stepped"}');
});`;

kernelTest('a step of the clock makes no pod unready', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const preload = `${t.testdir({ 'step.mjs': STEP })}/step.mjs`;
  const checker = await startChecker(pod, { NODE_OPTIONS: `--import=${preload}` });
  checker.child.kill('SIGUSR2');
  await checker.waitForOutput(/stepped/);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
});

kernelTest('--probe agrees with readyz', async (t, { pod }) => {
  const probe = async () =>
    (await startContainer(pod, containerSpec('check', ['NET_ADMIN'], '--probe')).end()).exitCode;
  t.equal(await probe(), 1, 'nobody listens');
  await install(pod);
  const checker = await startChecker(pod, { INVALID_DROP_ON_DRIFT: 'report' });
  t.equal(await probe(), 0);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await checker.waitForOutput(/"event":"not-ready"/);
  t.equal(await probe(), 1);
});

kernelTest('observe is always ready', async (t, { pod }) => {
  await startChecker(pod, { INVALID_DROP_MODE: 'observe', INVALID_DROP_ON_DRIFT: 'report' });
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
  t.match(await selfcheck(pod), { status: 503, report: { guarded: false, ready: true } });
});

kernelTest('observe: a port that is taken holds nothing back, and is used once it is free', async (t, { pod }) => {
  const taken = pod.start(process.execPath, ['-e', LISTENER]);
  await taken.waitForOutput(/listening/);
  const checker = await startChecker(pod, { INVALID_DROP_MODE: 'observe' });
  await checker.waitForOutput(/"event":"repaired"/);
  t.match(checker.output, /"code":"PORT_TAKEN".*invalid-drop\.io\/checker-port/);
  t.match(await pod.must('nft', ['list', 'ruleset']), /ct state invalid .*drop/, 'it repairs all the same');
  await taken.stop('SIGKILL');
  await checker.waitForOutput(/"event":"listening"/);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/selfcheck')).status, 200);
  t.equal((await checker.stop('SIGTERM')).exitCode, 0);
});

kernelTest('observe: options that make no sense, and lost privileges, end nothing', async (t, { pod }) => {
  const env = { INVALID_DROP_MODE: 'observe' };
  const wrong = startContainer(pod, containerSpec('check', ['NET_ADMIN']), { ...env, INVALID_DROP_INTERVAL: 'x' });
  await wrong.waitForOutput(/"code":"OPTION_INVALID"/);
  t.equal(wrong.child.exitCode, null);
  t.equal((await wrong.stop('SIGTERM')).exitCode, 0);
  const powerless = await startChecker(pod, env, []);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/readyz')).status, 200);
  t.equal((await powerless.stop('SIGTERM')).exitCode, 0);
});

kernelTest('a reader of the log that has gone ends neither program', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod);
  checker.child.stdout?.destroy();
  await pod.must('nft', ['flush', 'ruleset']);
  await until('it is repaired', async () => (await selfcheck(pod)).report.repairs > 0);
  t.equal(checker.child.exitCode, null);
  const installer = startContainer(pod, containerSpec('install', ['NET_ADMIN']));
  installer.child.stdout?.destroy();
  t.equal((await installer.end()).exitCode, 0);
});

kernelTest('a lock that another program holds delays no repair for long, and the log says who', async (t, { pod }) => {
  t.equal((await install(pod)).exitCode, 0);
  const checker = await startChecker(pod, { INVALID_DROP_LOCK_WAIT: '300' });
  const holder = pod.start('setpriv', ['--inh-caps=-all', '--bounding-set=-all', process.execPath, '-e', LOCK_HOLDER]);
  await holder.waitForOutput(/listening/);
  await pod.must('nft', ['flush', 'ruleset']);
  await checker.waitForOutput(REPAIRED);
  t.match(
    checker.output,
    new RegExp(`"code":"LOCK_BUSY","message":"another program \\(.*, pid ${holder.child.pid}\\)`),
  );
});

kernelTest('another port is used by the checker and by its probe', async (t, { pod }) => {
  await install(pod);
  const env = { INVALID_DROP_PORT: '25099' };
  await startChecker(pod, env);
  t.equal((await getPage(pod, 'http://127.0.0.1:25099/readyz')).status, 200);
  const probe = startContainer(pod, containerSpec('check', ['NET_ADMIN'], '--probe'), env);
  t.equal((await probe.end()).exitCode, 0);
});

kernelTest('a port that is taken is an error that says so', async (t, { pod }) => {
  await startChecker(pod, { INVALID_DROP_ON_DRIFT: 'report' });
  const { exitCode, stdout } = await startContainer(pod, containerSpec('check', ['NET_ADMIN'])).end();
  t.equal(exitCode, 2);
  t.match(stdout, /"code":"PORT_TAKEN".*15099/);
});
