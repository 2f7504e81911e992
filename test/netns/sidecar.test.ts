// check.js --install: one process that installs, and goes on as the checker.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHECKER_PORT, READY_FIFO } from '../../lib/contract.ts';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { redirectRules } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { isRunning, type Program } from '../harness/netns/processes.ts';
import {
  containerSpec,
  eventsOf,
  getPage,
  programsAsInImage,
  startContainer,
  startSidecar,
} from '../harness/netns/shipped-programs.ts';
import { until } from '../harness/wait-until.ts';

const CLIENTS = fileURLToPath(new URL('../harness/traffic/hostile-clients.ts', import.meta.url));
const PAGE = `http://127.0.0.1:${CHECKER_PORT}`;
const READY = /"event":"ready"/;
/** Holds the lock of the namespace, as a run of ours does. */
const HOLDER = `require('node:net').createServer((socket) => socket.on('error', () => 0).write('invalid-drop\\n'))
  .listen({ path: '\\0invalid-drop.lock' }, () => console.log('listening'))`;
const LISTENER = `require('node:net').createServer().listen(${CHECKER_PORT}, () => console.log('listening'))`;
/** For its connections no INVALID packet may be dropped, so that the rule is not put in beside it. */
const SYNPROXY = `table inet protection {
  chain input { type filter hook input priority filter; tcp dport 81 ct state invalid,untracked synproxy mss 1460 wscale 7; }
}`;
/** More than the test takes: what waits for a lock does so until it is ended. */
const LONG = { INVALID_DROP_LOCK_WAIT: '300', INVALID_DROP_COMMAND_TIMEOUT: '300' };

/** The ruleset with its handles: of a rule that was written anew it is another one. Counters are left out. */
async function listing(pod: NetworkNamespace): Promise<string> {
  return (await pod.must('nft', ['-a', 'list', 'ruleset'])).replace(/packets \d+ bytes \d+/g, '');
}

const wordsOf = (program: Program) => eventsOf(program).map(({ event }) => event);
const ready = async (pod: NetworkNamespace) => (await getPage(pod, `${PAGE}/readyz`)).status;

async function hold(pod: NetworkNamespace, script: string): Promise<Program> {
  const holder = pod.start(process.execPath, ['-e', script]);
  await holder.waitForOutput(/listening/);
  return holder;
}

kernelTest('it installs, says so as the init container does, and goes on as the checker', async (t, { pod }) => {
  const sidecar = startSidecar(pod);
  await sidecar.waitForOutput(READY);
  t.same(wordsOf(sidecar), ['listening', 'family', 'family', 'exemption', 'guarded', 'ready']);
  for (const family of ['ipv4', 'ipv6'])
    t.match(
      eventsOf(sidecar).find((event) => event['family'] === family),
      { action: 'inserted', program: 'check' },
    );
  t.equal(await ready(pod), 200);
  for (const iptables of ['iptables-nft', 'ip6tables-nft']) {
    const saved = await pod.must(iptables, ['-t', 'mangle', '-S', 'PREROUTING']);
    t.match(saved, `-A PREROUTING ${RULE.tcp}`);
  }
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await sidecar.waitForOutput(/"event":"repaired"/);
  t.equal((await sidecar.stop('SIGTERM')).exitCode, 0);
  t.same(await pod.processes(), []);
});

kernelTest('a restart changes nothing where the rule and the table are', async (t, { pod }) => {
  const first = startSidecar(pod);
  await first.waitForOutput(READY);
  await first.stop('SIGKILL');
  const before = await listing(pod);
  const second = startSidecar(pod);
  await second.waitForOutput(READY);
  const actions = eventsOf(second).flatMap(({ event, action }) => (action === undefined ? [] : [[event, action]]));
  t.same(actions, [
    ['family', 'left'],
    ['family', 'left'],
    ['exemption', 'left'],
  ]);
  t.equal(await listing(pod), before);
});

kernelTest('a listener that came while it was down is listed before it is ready again', async (t, { pod }) => {
  const first = startSidecar(pod);
  await first.waitForOutput(READY);
  await first.stop('SIGKILL');
  await hold(
    pod,
    `require('node:net').createServer().listen(9001, '${ADDRESS.pod.ipv4}', () => console.log('listening'))`,
  );
  const second = startSidecar(pod);
  await second.waitForOutput(READY);
  t.match(await pod.must('nft', ['list', 'set', 'inet', 'invalid-drop', 'listeners4']), `${ADDRESS.pod.ipv4} . 9001`);
});

kernelTest('enforce: started again in a pod that is not guarded for a while, it stays', async (t, { pod }) => {
  const first = startSidecar(pod);
  await first.waitForOutput(READY);
  await first.stop('SIGKILL');
  await pod.must('nft', ['-f', '-'], { input: SYNPROXY });
  const second = startSidecar(pod);
  await second.waitForOutput(/"event":"not-guarded"/);
  t.match(await getPage(pod, `${PAGE}/readyz`), { status: 503, body: /no check has succeeded yet/ });
  await pod.must('nft', ['delete', 'table', 'inet', 'protection']);
  await second.waitForOutput(READY);
  t.equal(await ready(pod), 200);
});

kernelTest('enforce: where it cannot read the ruleset it ends, and its last line says why', async (t, { pod }) => {
  const { exitCode, stdout } = await startSidecar(pod, {}, []).end();
  t.equal(exitCode, 1);
  t.match(eventsOf({ output: stdout }).at(-1), { event: 'failed', code: 'COMMAND_FAILED', message: /CAP_NET_ADMIN/ });
  t.same(await pod.processes(), []);
});

kernelTest('enforce: where the pod is not guarded it ends, and its last line says why', async (t, { pod }) => {
  await pod.must('iptables-legacy-restore', ['--noflush'], { input: `${redirectRules('ipv4')}*mangle\nCOMMIT\n` });
  const { exitCode, stdout } = await startSidecar(pod).end();
  t.equal(exitCode, 1);
  const events = eventsOf({ output: stdout });
  t.match(events.at(-1), { event: 'not-guarded', code: 'NOT_GUARDED', message: /legacy-iptables=enabled/ });
  t.match(
    events.find((event) => event['family'] === 'ipv4'),
    { action: 'failed', code: 'LEGACY_UNREADABLE' },
  );
  t.same(await pod.processes(), []);
});

kernelTest('enforce: a port that is taken ends it, and nothing answers for it', async (t, { pod }) => {
  await hold(pod, LISTENER);
  const { exitCode, stdout } = await startSidecar(pod).end();
  t.equal(exitCode, 2);
  t.match(eventsOf({ output: stdout }).at(-1), { event: 'failed', code: 'PORT_TAKEN' });
});

kernelTest('enforce: a wrong option ends it with 2', async (t, { pod }) => {
  const { exitCode, stdout } = await startSidecar(pod, { INVALID_DROP_PROTOCOL: 'udp' }).end();
  t.equal(exitCode, 2);
  t.match(eventsOf({ output: stdout }).at(-1), { event: 'failed', code: 'OPTION_INVALID' });
});

kernelTest('observe: a failed install ends nothing, and is tried again until it succeeds', async (t, { pod }) => {
  const env = { INVALID_DROP_MODE: 'observe', INVALID_DROP_INTERVAL: '1' };
  const powerless = startSidecar(pod, env, []);
  await powerless.waitForOutput(/"event":"check-failed"/);
  t.equal(await ready(pod), 200);
  t.equal((await powerless.stop('SIGTERM')).exitCode, 0);

  await pod.must('nft', ['-f', '-'], { input: SYNPROXY });
  const blocked = startSidecar(pod, env);
  await blocked.waitForOutput(/"event":"not-guarded"/);
  await pod.must('nft', ['delete', 'table', 'inet', 'protection']);
  await blocked.waitForOutput(READY);
  t.match(wordsOf(blocked), ['listening', 'family', 'family', 'exemption', 'not-guarded']);
});

kernelTest('observe: a wrong option ends nothing', async (t, { pod }) => {
  const wrong = startSidecar(pod, { INVALID_DROP_MODE: 'observe', INVALID_DROP_INTERVAL: 'x' });
  await wrong.waitForOutput(/"code":"OPTION_INVALID"/);
  t.equal(wrong.child.exitCode, null);
  t.equal((await wrong.stop('SIGTERM')).exitCode, 0);
});

kernelTest('report: each start installs, and later drift is only reported', async (t, { pod }) => {
  const env = { INVALID_DROP_ON_DRIFT: 'report' };
  const first = startSidecar(pod, env);
  await first.waitForOutput(READY);
  await pod.must('iptables-nft', ['-t', 'mangle', '-F']);
  await first.waitForOutput(/"event":"not-ready"/);
  t.equal(await ready(pod), 503);
  await first.stop('SIGKILL');
  const second = startSidecar(pod, env);
  await second.waitForOutput(READY);
  t.notMatch(wordsOf(first), ['repaired']);
  t.equal(await ready(pod), 200);
});

kernelTest('SIGTERM ends it while it waits for the lock of the namespace', async (t, { pod }) => {
  await hold(pod, HOLDER);
  const sidecar = startSidecar(pod, LONG);
  await sidecar.waitForOutput(/"event":"listening"/);
  t.match(await getPage(pod, `${PAGE}/readyz`), { status: 503, body: /no check has succeeded yet/ });
  const { exitCode, stdout } = await sidecar.stop('SIGTERM');
  t.equal(exitCode, 0);
  t.equal(eventsOf({ output: stdout }).at(-1)?.event, 'stopping');
});

kernelTest('SIGTERM ends the programs of the install too', async (t, { pod }) => {
  await pod.must('iptables-legacy-restore', ['--noflush'], { input: redirectRules('ipv4') });
  const lock = `${t.testdir({ lock: '' })}/lock`;
  const holder = pod.start('flock', [lock, 'sh', '-c', 'echo holding; exec sleep 900']);
  await holder.waitForOutput(/holding/);
  const sidecar = startSidecar(pod, { ...LONG, XTABLES_LOCKFILE: lock }, ['NET_ADMIN', 'NET_RAW']);
  const children = async () => {
    const pid = sidecar.child.pid;
    return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(/\s+/).map(Number);
  };
  const commandOf = (pid: number) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const waiting = async () =>
    (await Promise.all((await children()).map(commandOf))).some((words) => /restore/.test(words));
  await until('a program waits for the lock', waiting);
  const started = await children();
  t.equal((await sidecar.stop('SIGTERM')).exitCode, 0);
  await until('all have ended', async () => !(await Promise.all(started.map(isRunning))).includes(true));
});

for (const kind of ['silent', 'unread', 'pipelined']) {
  kernelTest(`150 connections that are ${kind} do not keep it from installing`, async (t, { pod, gateway }) => {
    const holder = await hold(pod, HOLDER);
    const sidecar = startSidecar(pod, LONG);
    await sidecar.waitForOutput(/"event":"listening"/);
    const clients = gateway.start(process.execPath, [CLIENTS, ADDRESS.pod.ipv4, String(CHECKER_PORT), kind, '150']);
    await clients.waitForOutput(/holding/);
    t.notMatch(sidecar.output, /"event":"family"/);
    await holder.stop('SIGKILL');
    await sidecar.waitForOutput(READY);
    t.equal(await ready(pod), 200);
    t.notOk(clients.closed, 'the clients go on');
  });
}

/** Starts the hook, as the kubelet does in the container. */
const startWait = (pod: NetworkNamespace, programs: string) =>
  startContainer(pod, containerSpec('wait', []), {}, programs);

kernelTest('the hook waits until the checker is ready, however early or late it comes', async (t, { pod }) => {
  const programs = await programsAsInImage(t.testdir({}));
  const holder = await hold(pod, HOLDER);
  const early = startWait(pod, programs);
  const sidecar = startContainer(pod, containerSpec('sidecar', ['NET_ADMIN']), LONG, programs);
  await sidecar.waitForOutput(/"event":"listening"/);
  const late = startWait(pod, programs);
  t.equal(await ready(pod), 503);
  t.notOk(early.closed || late.closed, 'they wait');
  await holder.stop('SIGKILL');
  for (const wait of [early, late]) t.match(await wait.end(), { exitCode: 0, stderr: '' });
  await sidecar.waitForOutput(READY);
  t.equal((await startWait(pod, programs).end()).exitCode, 0, 'one that comes when all is over');
});

kernelTest('the hook goes on waiting where the checker ends without having guarded', async (t, { pod }) => {
  const programs = await programsAsInImage(t.testdir({}));
  const wait = startWait(pod, programs);
  const sidecar = startContainer(pod, containerSpec('sidecar', []), {}, programs);
  t.equal((await sidecar.end()).exitCode, 1);
  t.notOk(wait.closed, 'the container ends it');
  const again = startContainer(pod, containerSpec('sidecar', ['NET_ADMIN']), {}, programs);
  t.equal((await wait.end()).exitCode, 0);
  await again.waitForOutput(READY);
});

kernelTest('enforce: in an image whose FIFO has become a file it ends before it installs', async (t, { pod }) => {
  const programs = await programsAsInImage(t.testdir({}));
  await rm(`${programs}/${basename(READY_FIFO)}`);
  await writeFile(`${programs}/${basename(READY_FIFO)}`, '');
  const { exitCode, stdout } = await startContainer(pod, containerSpec('sidecar', ['NET_ADMIN']), {}, programs).end();
  t.equal(exitCode, 2);
  t.match(eventsOf({ output: stdout }), [{ event: 'failed', code: 'HOOK_UNHEARD' }]);
});
