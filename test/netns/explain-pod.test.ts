import { fileURLToPath } from 'node:url';
import type { answerData } from '../../init-image/explain/answer-text.ts';
import { CHECK_COMMAND } from '../../lib/contract.ts';
import { DROP_FROM_1_24, DROP_NATIVE } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import type { Program } from '../harness/netns/processes.ts';
import { startMesh, startTproxyMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { containerSpec, install, startChecker, startContainer } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays, stopStrays } from '../harness/netns/stray-segments.ts';
import { until } from '../harness/wait-until.ts';

const RESET_CAUSES = fileURLToPath(new URL('../harness/traffic/reset-causes.ts', import.meta.url));
const BOTH = ['NET_ADMIN', 'NET_RAW'];
const EXCLUDED = 9441;
const CTRL_C = '\u0003';

type Explained = ReturnType<typeof answerData>;

/**
 * Starts --explain at a terminal, as kubectl exec -it does, and waits for its progress, which follows the first sample.
 */
async function startExplain(pod: NetworkNamespace, capabilities = ['NET_ADMIN']): Promise<Program> {
  const spec = containerSpec('check', capabilities);
  spec.command = ['script', '-qefc', `exec ${CHECK_COMMAND.join(' ')} --explain --json --seconds 300`, '/dev/null'];
  const explain = startContainer(pod, spec);
  await explain.waitForOutput(/watching: \d+ s left/);
  return explain;
}

/** Ends the watch by Ctrl-C; the second sample is then taken at once. */
async function endExplain(explain: Program): Promise<{ exitCode: number | null; explained: Explained }> {
  explain.child.stdin?.write(CTRL_C);
  const { exitCode, stdout } = await explain.end();
  const [json] = stdout.match(/\{[\s\S]*\}/) ?? [stdout];
  return { exitCode, explained: JSON.parse(json) as Explained };
}

for (const backend of ['nft', 'legacy'] as const) {
  kernelTest(
    `uploads that are reset are suspected, and prevented once the rule is in (${backend})`,
    async (t, pair) => {
      await startMesh(pair, backend);
      await startStrays(pair.gateway, 50);
      const open = await startExplain(pair.pod, BOTH);
      t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: false }, { ok: false }]);
      const suspected = await endExplain(open);
      t.equal(suspected.exitCode, 1);
      t.match(suspected.explained, { answer: 'suspected', code: 'invalid-and-resets' });
      t.match(suspected.explained.rules, {
        result: 'not guarded',
        invalidRules: [],
        mesh: { ipv4: { mode: 'REDIRECT', proxyPorts: [15_006], excluded: /\b15020-15021, 15090, 15099$/ } },
      });

      t.equal((await install(pair.pod, {}, BOTH)).exitCode, 0);
      await startChecker(pair.pod, {}, BOTH);
      const guarded = await startExplain(pair.pod, BOTH);
      t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
      const prevented = await endExplain(guarded);
      t.equal(prevented.exitCode, 0);
      t.match(prevented.explained, { answer: 'prevented', code: 'dropped' });
      t.equal(prevented.explained.before.outRsts, prevented.explained.after.outRsts, 'no reset was sent');
    },
  );
}

kernelTest('a connection that hangs is never called prevented, and its peer is named', async (t, pair) => {
  await startMesh(pair, 'nft');
  t.equal((await install(pair.pod)).exitCode, 0);
  await startChecker(pair.pod, { INVALID_DROP_RESCUE: 'disabled' });
  // Every full segment is far over the window: none arrives, however often it is sent.
  await startStrays(pair.gateway, 1);
  const uploaded = upload(pair, 'ipv4', UPLOAD, 1).catch(() => undefined);
  await until('segments are sent', async () => (await countStrays(pair.gateway)) >= 2);
  const explain = await startExplain(pair.pod);
  const before = await countStrays(pair.gateway);
  await until('segments are sent again', async () => (await countStrays(pair.gateway)) >= before + 2);
  const { exitCode, explained } = await endExplain(explain);
  await stopStrays(pair.gateway);
  t.equal(exitCode, 1);
  t.match(explained, {
    answer: 'suspected',
    code: 'hanging',
    why: new RegExp(` ${ADDRESS.gateway.ipv4}:`),
  });
  t.match(await uploaded, [{ ok: true }], 'the test alone had stopped it');
});

const ISTIO = [
  { name: '1.24 or later', command: 'iptables-nft-restore', args: ['--noflush'], input: DROP_FROM_1_24 },
  { name: 'native nftables', command: 'nft', args: ['-f', '-'], input: DROP_NATIVE },
];
for (const { name, command, args, input } of ISTIO) {
  kernelTest(`Istio's own rule is found, counted and named (${name})`, async (t, pair) => {
    await startMesh(pair, 'nft');
    await pair.pod.must(command, args, { input });
    await startStrays(pair.gateway, 50);
    const explain = await startExplain(pair.pod);
    t.match(await upload(pair, 'ipv4', UPLOAD, 1), [{ ok: true }]);
    const { explained } = await endExplain(explain);
    const owner = new RegExp(`istio.*${name}`);
    t.match(explained.rules, { invalidRules: [{ owner, packets: Number }] });
    // Istio writes IPv6 rules only where the pod was declared to have it: the iptables form leaves this pod half open.
    t.match(explained.rules, { result: name === 'native nftables' ? 'guarded' : 'not guarded' });
    if (name === 'native nftables') t.match(explained, { answer: 'cannot tell', code: 'dropped-not-rescued' });
  });
}

kernelTest('resets of the application in a pod with a mesh are not this', async (t, pair) => {
  await startMesh(pair, 'nft', `15099,${EXCLUDED}`);
  const server = pair.pod.start(process.execPath, [RESET_CAUSES, 'serve', String(EXCLUDED), 'unread']);
  await server.waitForOutput(/ready/);
  const explain = await startExplain(pair.pod);
  const call = [RESET_CAUSES, 'call', ADDRESS.pod.ipv4, String(EXCLUDED), 'unread'];
  t.match(await pair.gateway.must(process.execPath, call), /ECONNRESET/);
  const { exitCode, explained } = await endExplain(explain);
  t.equal(exitCode, 0);
  t.match(explained, { answer: 'not this', code: 'resets-without-invalid' });
  t.match(explained.rules, { mesh: { ipv4: { excluded: /\b9441\b/ } } });
});

kernelTest('resets that the pod receives are not this', async (t, pair) => {
  const server = pair.gateway.start(process.execPath, [RESET_CAUSES, 'serve', String(EXCLUDED), 'abort']);
  await server.waitForOutput(/ready/);
  const explain = await startExplain(pair.pod);
  const call = [RESET_CAUSES, 'call', ADDRESS.gateway.ipv4, String(EXCLUDED), 'abort'];
  t.match(await pair.pod.must(process.execPath, call), /ECONNRESET/);
  t.match((await endExplain(explain)).explained, { answer: 'not this', code: 'no-resets-sent' });
});

kernelTest('under TPROXY stray segments are INVALID and not answered with a reset', async (t, pair) => {
  await startTproxyMesh(pair);
  await startStrays(pair.gateway, 50);
  const explain = await startExplain(pair.pod);
  t.match(await upload(pair, 'ipv4', UPLOAD, 2), [{ ok: true }, { ok: true }]);
  t.ok((await countStrays(pair.gateway)) > 0);
  const { explained } = await endExplain(explain);
  t.match(explained, { answer: 'not this', code: 'invalid-without-resets' });
  t.match(explained.rules, { result: 'not guarded', mesh: { ipv4: { mode: 'TPROXY', proxyPorts: [15_006] } } });
});

kernelTest('with be_liberal in the pod the segments are not INVALID, and it says so', async (t, pair) => {
  await startMesh(pair, 'nft');
  await pair.pod.must('sh', ['-c', 'echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal']);
  await startStrays(pair.gateway, 50);
  const explain = await startExplain(pair.pod);
  t.match(await upload(pair, 'ipv4', UPLOAD, 1), [{ ok: true }]);
  const { explained } = await endExplain(explain);
  t.match(explained, { answer: 'cannot tell', code: 'nothing-happened', after: { tcpBeLiberal: 1 } });
});

kernelTest('in a pod without any event it cannot tell', async (t, { pod }) => {
  const { exitCode, stdout, stderr } = await startContainer(
    pod,
    containerSpec('check', ['NET_ADMIN'], '--explain', '--seconds', '1'),
  ).end();
  t.equal(exitCode, 2);
  t.match(stdout, /^Was it this\? Cannot tell\.\n/);
  t.equal(stderr, '', 'no progress where there is no terminal');
});

kernelTest('without NET_ADMIN it says that it cannot tell, and why', async (t, { pod }) => {
  const { exitCode, stdout } = await startContainer(
    pod,
    containerSpec('check', [], '--explain', '--seconds', '1'),
  ).end();
  t.equal(exitCode, 2);
  t.match(stdout, /^Was it this\? Cannot tell\.\n.*CAP_NET_ADMIN/);
  t.match(stdout, /resets sent +\+0/, 'counters need no privilege and are shown');
});
