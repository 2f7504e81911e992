import { kernelTest } from '../harness/netns/netns-test.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import { eventsOf, install, startChecker } from '../harness/netns/shipped-programs.ts';
import { until } from '../harness/wait-until.ts';

const PORT = 9000;
const BOTH = ['NET_ADMIN', 'NET_RAW'];
const SERVER = `require('node:http').createServer((_, answer) => answer.end('served')).listen(${PORT}, () => console.log('ready'))`;
const OPTIONS = '-j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460';

/** As iptables-extensions(8) has it. */
const RULES = [
  '*raw',
  `-A PREROUTING -p tcp --dport ${PORT} --syn -j CT --notrack`,
  'COMMIT',
  '*filter',
  `-A INPUT -p tcp --dport ${PORT} -m conntrack --ctstate INVALID,UNTRACKED ${OPTIONS}`,
  '-A INPUT -m conntrack --ctstate INVALID -j DROP',
  'COMMIT',
  '',
].join('\n');
const NATIVE = `table inet guard {
  chain early { type filter hook prerouting priority -300; tcp dport ${PORT} tcp flags & (fin | syn | rst | ack) == syn notrack; }
  chain input {
    type filter hook input priority 0;
    tcp dport ${PORT} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
    ct state invalid drop
  }
}
`;

const SYSCTLS = [
  ['netfilter/nf_conntrack_tcp_loose', 0],
  ['ipv4/tcp_syncookies', 1],
  ['ipv4/tcp_timestamps', 1],
];

const FORMS: [name: string, addRules: (pod: NetworkNamespace) => Promise<unknown>][] = [
  ['iptables-nft', (pod) => pod.must('iptables-nft-restore', ['--noflush'], { input: RULES })],
  ['iptables-legacy', (pod) => pod.must('iptables-legacy-restore', ['--noflush'], { input: RULES })],
  ['native nftables', (pod) => pod.must('nft', ['-f', '-'], { input: NATIVE })],
];

async function serve({ pod }: Pair): Promise<void> {
  for (const [path, value] of SYSCTLS) await pod.must('sh', ['-c', `echo ${value} > /proc/sys/net/${path}`]);
  await pod.start(process.execPath, ['-e', SERVER]).waitForOutput(/ready/);
}

async function isServed({ gateway }: Pair): Promise<boolean> {
  const url = `http://${ADDRESS.pod.ipv4}:${PORT}/`;
  const { stdout } = await gateway.run('curl', ['--silent', '--noproxy', '*', '--max-time', '3', url]);
  return stdout === 'served';
}

for (const [name, addRules] of FORMS) {
  kernelTest(
    `a pod with SYNPROXY keeps its connections: no rule is put in, and it is said why (${name})`,
    async (t, pair) => {
      await addRules(pair.pod);
      await serve(pair);
      t.equal(await isServed(pair), true, 'as it was');
      for (const [mode, exitCode] of [
        ['observe', 0],
        ['enforce', 1],
      ] as const) {
        const installed = await install(pair.pod, { INVALID_DROP_MODE: mode }, BOTH);
        t.equal(installed.exitCode, exitCode);
        t.match(installed.family('ipv4'), { action: 'failed', code: 'SYNPROXY_IN_USE', message: /inject=disabled/ });
        t.equal(await isServed(pair), true, mode);
      }
    },
  );
}

kernelTest('SYNPROXY that comes later: the checker takes the rule out and says why', async (t, pair) => {
  t.equal((await install(pair.pod)).exitCode, 0);
  const checker = await startChecker(pair.pod, { INVALID_DROP_MODE: 'observe' });
  await pair.pod.must('iptables-nft-restore', ['--noflush'], { input: RULES });
  await serve(pair);
  await checker.waitForOutput(/"event":"repair-failed"/);
  const [failed] = eventsOf(checker).filter(({ event }) => event === 'repair-failed');
  t.match(failed, { message: /SYNPROXY/ });
  await until('connections come about again', () => isServed(pair));
});
