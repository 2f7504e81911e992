// A pod whose conntrack is liberal, as a CNI plugin or a sysctl of the pod makes it: what that does, and what our programs say there.
import { fileURLToPath } from 'node:url';
import type { answerData } from '../../init-image/explain/answer-text.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { startMesh, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { containerSpec, getPage, install, startChecker, startContainer } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';

const HELD = fileURLToPath(new URL('../harness/traffic/held-upload.ts', import.meta.url));
const EVERY = 50;

async function setTcp(pod: NetworkNamespace, settings: Record<string, number>): Promise<void> {
  const names = Object.entries(settings).map(([name, value]) => `net.netfilter.nf_conntrack_tcp_${name}=${value}`);
  await pod.must('sysctl', ['-q', '-w', ...names]);
}

/** Runs the checker's program to its end. */
async function runCheck(pod: NetworkNamespace, ...flags: string[]) {
  const { exitCode, stdout, stderr } = await startContainer(pod, containerSpec('check', ['NET_ADMIN'], ...flags)).end();
  return { exitCode, report: JSON.parse(stdout || `{"error": ${JSON.stringify(stderr)}}`) };
}

kernelTest('a liberal pod is protected without a rule, and --explain says so', async (t, pair) => {
  await startMesh(pair, 'nft');
  await setTcp(pair.pod, { be_liberal: 1 });
  await startStrays(pair.gateway, EVERY);
  const explain = startContainer(
    pair.pod,
    containerSpec('check', ['NET_ADMIN'], '--explain', '--json', '--seconds', '3'),
  );
  for (const { ok, error } of await upload(pair, 'ipv4', UPLOAD, 3)) t.equal(ok, true, error ?? 'passes');
  t.ok((await countStrays(pair.gateway)) > 3, 'there were stray segments');
  const { exitCode, stdout } = await explain.end();
  t.equal(exitCode, 2, 'nothing happened in the pod');
  const explained = JSON.parse(stdout) as ReturnType<typeof answerData>;
  t.match(explained, {
    code: 'nothing-happened',
    why: /be_liberal is 1, .*: this pod is protected from them also without the rule\.$/,
    after: { tcpBeLiberal: 1 },
    rules: { result: 'not guarded' },
  });
  t.equal(explained.after.conntrackInvalid, explained.before.conntrackInvalid, 'no packet was INVALID');
});

kernelTest('a checker verifies the rule of a liberal pod as elsewhere', async (t, pair) => {
  await startMesh(pair, 'nft');
  await setTcp(pair.pod, { be_liberal: 1 });
  t.equal((await runCheck(pair.pod, '--once')).exitCode, 1, 'no rule: not guarded');
  t.equal((await install(pair.pod)).exitCode, 0);
  t.match(await runCheck(pair.pod, '--once'), { exitCode: 0, report: { evidence: { tcpBeLiberal: 1 } } });
  const checker = await startChecker(pair.pod, { INVALID_DROP_ON_DRIFT: 'report' });
  const page = await getPage(pair.pod, 'http://127.0.0.1:15099/selfcheck');
  t.match(JSON.parse(page.body), { guarded: true, evidence: { tcpBeLiberal: 1 } });
  await pair.pod.must('iptables-nft', ['-t', 'mangle', '-F', 'PREROUTING']);
  await checker.waitForOutput(/"event":"not-ready"/);
});

kernelTest('a connection that conntrack has forgotten is reset in a liberal pod too (tcp_loose=0)', async (t, pair) => {
  await startMesh(pair, 'nft');
  for (const loose of [0, 1]) {
    await setTcp(pair.pod, { be_liberal: 1, loose });
    const held = pair.gateway.start(process.execPath, [HELD, ADDRESS.pod.ipv4]);
    await held.waitForOutput(/in flight/);
    await pair.pod.must('conntrack', ['--flush']);
    if (loose === 0) await held.waitForOutput(/"error"/);
    held.child.stdin?.end();
    const { stdout } = await held.end();
    t.match(stdout, loose === 0 ? /"error":"(ECONNRESET|EPIPE)"/ : /"received":\d/, `tcp_loose=${loose}`);
  }
});
