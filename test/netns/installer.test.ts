import { chmod, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import type { Backend } from '../../lib/netfilter/model.ts';
import { DROP_FROM_1_24, DROP_NATIVE, DROP_TO_1_23, redirectRules, tproxyRules } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { Program } from '../harness/netns/processes.ts';
import { containerSpec, install, startContainer } from '../harness/netns/shipped-programs.ts';

const BACKENDS: Backend[] = ['nft', 'legacy'];
const FAMILIES = ['ipv4', 'ipv6'] as const;
const OURS = `-A PREROUTING ${RULE.tcp}`;
const LICENSE = fileURLToPath(new URL('../../LICENSE', import.meta.url));

function program(family: 'ipv4' | 'ipv6', backend: Backend, what: string): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}${what}`;
}

/** PREROUTING of mangle as iptables-save prints it, without the chain's policy. */
async function rules(pod: NetworkNamespace, family: 'ipv4' | 'ipv6', backend: Backend): Promise<string[]> {
  const saved = await pod.must(program(family, backend, '-save'), ['-t', 'mangle']);
  return saved.split('\n').filter((line) => line.startsWith('-A PREROUTING'));
}

const restore = (pod: NetworkNamespace, family: 'ipv4' | 'ipv6', backend: Backend, input: string) =>
  pod.must(program(family, backend, '-restore'), ['--noflush'], { input });

kernelTest('an empty pod gets one rule a family, with nft and CAP_NET_ADMIN alone', async (t, { pod }) => {
  for (const action of ['inserted', 'left']) {
    const { exitCode, family, events, stderr } = await install(pod);
    t.equal(exitCode, 0, stderr);
    for (const name of FAMILIES) t.match(family(name), { action });
    t.equal(events.at(-1)?.['event'], 'guarded');
  }
  for (const name of FAMILIES) t.same(await rules(pod, name, 'nft'), [OURS]);
});

for (const backend of BACKENDS) {
  kernelTest(`beside Istio's REDIRECT rules (${backend}) the rule goes to the same backend`, async (t, { pod }) => {
    for (const family of FAMILIES) await restore(pod, family, backend, redirectRules(family));
    const { exitCode, family, stderr } = await install(pod, {}, ['NET_ADMIN', 'NET_RAW']);
    t.equal(exitCode, 0, stderr);
    for (const name of FAMILIES) {
      t.match(family(name), { action: 'inserted', backend });
      t.same(await rules(pod, name, backend), [OURS]);
    }
  });

  kernelTest(`any number of installs at once leave one rule a family (${backend})`, async (t, { pod }) => {
    const env = { INVALID_DROP_BACKEND: backend };
    const runs = await Promise.all(Array.from({ length: 8 }, () => install(pod, env, ['NET_ADMIN', 'NET_RAW'])));
    t.same(
      runs.map(({ exitCode }) => exitCode),
      runs.map(() => 0),
    );
    for (const name of FAMILIES) t.same(await rules(pod, name, backend), [OURS]);
  });

  kernelTest(`Istio's own rule is left as it is and said to be so (${backend})`, async (t, { pod }) => {
    for (const [input, owner] of [
      [DROP_TO_1_23, /istio .*up to 1\.23/],
      [DROP_FROM_1_24, /istio .*1\.24/],
    ] as const) {
      for (const family of FAMILIES) {
        await pod.must(program(family, backend, ''), ['-t', 'mangle', '-F']);
        await restore(pod, family, backend, input);
      }
      const before = await Promise.all(FAMILIES.map((name) => rules(pod, name, backend)));
      const { exitCode, family } = await install(pod, {}, ['NET_ADMIN', 'NET_RAW']);
      t.equal(exitCode, 0);
      for (const name of FAMILIES) t.match(family(name), { action: 'left', owner });
      t.same(await Promise.all(FAMILIES.map((name) => rules(pod, name, backend))), before);
    }
  });

  kernelTest(`in TPROXY mode the rule goes before Istio's (${backend})`, async (t, { pod }) => {
    for (const family of FAMILIES) await restore(pod, family, backend, tproxyRules(family));
    t.equal((await install(pod, {}, ['NET_ADMIN', 'NET_RAW'])).exitCode, 0);
    for (const name of FAMILIES) t.equal((await rules(pod, name, backend))[0], OURS);
  });

  kernelTest(`a rule behind an ACCEPT is moved to the front, not doubled (${backend})`, async (t, { pod }) => {
    const accept = '-A PREROUTING -p tcp -j ACCEPT';
    for (const family of FAMILIES) {
      await restore(pod, family, backend, `*mangle\n${accept}\n${OURS}\n${OURS}\nCOMMIT\n`);
    }
    t.equal((await install(pod, {}, ['NET_ADMIN', 'NET_RAW'])).exitCode, 0);
    for (const name of FAMILIES) t.same(await rules(pod, name, backend), [OURS, accept]);
  });

  kernelTest(`protocol=all is Istio's rule to the letter (${backend})`, async (t, { pod }) => {
    const env = { INVALID_DROP_BACKEND: backend, INVALID_DROP_PROTOCOL: 'all' };
    t.equal((await install(pod, env, ['NET_ADMIN', 'NET_RAW'])).exitCode, 0);
    const istio = '-A PREROUTING -m conntrack --ctstate INVALID -j DROP';
    for (const name of FAMILIES) t.same(await rules(pod, name, backend), [istio]);
  });
}

kernelTest("Istio's native nftables rule guards both families", async (t, { pod }) => {
  await pod.must('nft', ['-f', '-'], { input: DROP_NATIVE });
  const list = () => pod.must('nft', ['list', 'table', 'inet', 'istio-proxy-mangle']);
  const before = await list();
  const { exitCode, family } = await install(pod);
  t.equal(exitCode, 0);
  for (const name of FAMILIES) t.match(family(name), { action: 'left', owner: /istio .*native nftables/ });
  t.equal(await list(), before);
});

kernelTest('an IPv6 that the pod does not have is reported, and no error', async (t, { pod }) => {
  await pod.must('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6']);
  const { exitCode, family } = await install(pod);
  t.equal(exitCode, 0);
  t.match(family('ipv6'), { status: { present: false, reason: 'the pod has no IPv6 address' } });
});

kernelTest(
  'legacy tables that cannot be read without CAP_NET_RAW are an error that says what to do',
  async (t, { pod }) => {
    await restore(pod, 'ipv4', 'legacy', `${redirectRules('ipv4')}*mangle\nCOMMIT\n`);
    const { exitCode, family } = await install(pod);
    t.equal(exitCode, 1);
    t.match(family('ipv4'), { action: 'failed', code: 'LEGACY_UNREADABLE', message: /legacy-iptables=enabled/ });
    t.match(family('ipv6'), { action: 'inserted', backend: 'nft' });
    t.equal((await install(pod, { INVALID_DROP_MODE: 'observe' })).exitCode, 0, 'observe never fails');
  },
);

for (const [capabilities, backend] of [
  [['NET_ADMIN'], 'nft'],
  [['NET_ADMIN', 'NET_RAW'], 'legacy'],
] as const) {
  kernelTest(
    `redirection by iptables-legacy, with ${capabilities.join(' and ')}: guarded by ${backend}`,
    async (t, { pod }) => {
      for (const name of FAMILIES) await restore(pod, name, 'legacy', redirectRules(name));
      const { exitCode, family } = await install(pod, {}, [...capabilities]);
      t.equal(exitCode, 0);
      for (const name of FAMILIES) {
        t.match(family(name), { action: 'inserted', backend });
        t.same(await rules(pod, name, backend), [OURS]);
      }
    },
  );
}

kernelTest('the empty nat table that Istio leaves in iptables-legacy changes nothing', async (t, { pod }) => {
  for (const name of FAMILIES) await restore(pod, name, 'legacy', '*nat\nCOMMIT\n');
  for (const name of FAMILIES) await restore(pod, name, 'nft', redirectRules(name));
  for (const capabilities of [['NET_ADMIN'], ['NET_ADMIN', 'NET_RAW']]) {
    const { exitCode, family } = await install(pod, {}, capabilities);
    t.equal(exitCode, 0);
    for (const name of FAMILIES) t.match(family(name), { backend: 'nft' });
    for (const name of FAMILIES)
      await pod.must(`${name === 'ipv4' ? 'iptables' : 'ip6tables'}-nft`, ['-t', 'mangle', '-F']);
  }
});

kernelTest(
  'a pod of which an earlier rule takes some packets out of conntrack cannot be guarded, and install says so',
  async (t, { pod }) => {
    await restore(pod, 'ipv4', 'nft', '*raw\n-A PREROUTING -m mark ! --mark 1 -j CT --notrack\nCOMMIT\n');
    for (const code of ['NOT_GUARDED', 'INSERT_USELESS']) {
      const { exitCode, events } = await install(pod);
      t.equal(exitCode, 1);
      t.match(
        events.find((event) => event['code'] === code),
        { message: String },
      );
    }
    t.same(await rules(pod, 'ipv4', 'nft'), [OURS], 'still one rule');
  },
);

for (const backend of BACKENDS) {
  kernelTest(
    `flows that NodeLocal DNS and others take out of conntrack stop no pod (${backend})`,
    async (t, { pod }) => {
      const flows =
        '-p tcp -m tcp --dport 9001 -j NOTRACK\n-A PREROUTING -d 169.254.20.10 -p tcp --dport 53 -j NOTRACK';
      await restore(pod, 'ipv4', backend, `${redirectRules('ipv4')}*raw\n-A PREROUTING ${flows}\nCOMMIT\n`);
      const { exitCode, family, events } = await install(pod, {}, ['NET_ADMIN', 'NET_RAW']);
      t.equal(exitCode, 0);
      t.match(family('ipv4'), { action: 'inserted' });
      t.match(
        events.find(({ event }) => event === 'exemption'),
        { action: 'inserted' },
      );
      const again = await install(pod, {}, ['NET_ADMIN', 'NET_RAW']);
      t.match(again.family('ipv4'), { action: 'left' });
    },
  );
}

const PREROUTING = 'type filter hook prerouting priority mangle; policy accept;';
/** Native tables with the names of iptables', which iptables-nft cannot write to, or not so that it helps. */
const NATIVE: [name: string, chain: string][] = [
  ['a chain that is no base chain', 'chain PREROUTING { ip saddr 192.0.2.1 drop; }'],
  ['a chain at another priority', 'chain PREROUTING { type filter hook prerouting priority -140; policy accept; }'],
  ['a chain of type nat', 'chain PREROUTING { type nat hook prerouting priority -100; policy accept; }'],
  ['a chain at another hook', 'chain PREROUTING { type filter hook input priority mangle; policy accept; }'],
  ['a dormant table', `flags dormant; chain PREROUTING { ${PREROUTING} meta mark 5 drop; }`],
  ['rules that iptables cannot say', `chain PREROUTING { ${PREROUTING} meta mark set meta mark | 0x2; }`],
];

for (const [name, chain] of NATIVE) {
  kernelTest(
    `beside a native table "mangle" with ${name} the pod is guarded, and it stays as it is`,
    async (t, { pod }) => {
      const native = FAMILIES.map((family) => (family === 'ipv4' ? 'ip' : 'ip6')).map((family) => {
        const rules = family === 'ip6' ? chain.replace('ip saddr 192.0.2.1', 'ip6 saddr 2001:db8::1') : chain;
        return `table ${family} mangle { ${rules}\n}\n`;
      });
      await pod.must('nft', ['-f', '-'], { input: native.join('') });
      // A rule with an extension, as iptables-nft writes it: nft's listing does not tell what it does.
      await restore(pod, 'ipv4', 'nft', '*filter\n-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n');
      const list = () => pod.must('nft', ['--stateless', 'list', 'ruleset']);
      const before = await list();
      for (const action of ['inserted', 'left']) {
        const { exitCode, family, events } = await install(pod);
        t.equal(exitCode, 0, JSON.stringify(events));
        for (const each of FAMILIES) t.match(family(each), { action });
      }
      const lines = new Set((await list()).split('\n'));
      t.same(
        before.split('\n').filter((line) => !lines.has(line)),
        [],
        'it stays as it is',
      );
    },
  );
}

kernelTest(
  'rules that iptables-nft-save cannot print are never written over, and nothing is added twice',
  async (t, { pod }) => {
    t.equal((await install(pod)).exitCode, 0);
    await pod.must('nft', [
      'add',
      'rule',
      'ip',
      'mangle',
      'PREROUTING',
      'meta',
      'mark',
      'set',
      'meta',
      'mark',
      '|',
      '0x2',
    ]);
    const listMangle = () => pod.must('nft', ['list', 'table', 'ip', 'mangle']);
    const before = await listMangle();
    const beside = await install(pod);
    t.equal(beside.exitCode, 0);
    t.match(beside.family('ipv4'), { action: 'inserted', form: 'table' });
    t.match(beside.family('ipv6'), { action: 'left' });
    t.equal(await listMangle(), before);
    const all = await pod.must('nft', ['list', 'ruleset']);
    t.match((await install(pod)).family('ipv4'), { action: 'left', owner: /invalid-drop/ });
    t.equal(await pod.must('nft', ['list', 'ruleset']), all);
  },
);

kernelTest('a locked xtables lock is waited for, and no longer than allowed', async (t, { pod }) => {
  const lockFile = t.testdir({ 'xtables.lock': '' });
  const path = `${lockFile}/xtables.lock`;
  await writeFile(path, '');
  const holder = new Program('flock', [path, 'sh', '-c', 'echo held; cat']);
  await holder.waitForOutput(/held/);
  const env = { INVALID_DROP_BACKEND: 'legacy', INVALID_DROP_LOCK_WAIT: '1', XTABLES_LOCKFILE: path };
  const { exitCode, family } = await install(pod, env, ['NET_ADMIN', 'NET_RAW']);
  t.equal(exitCode, 1);
  t.match(family('ipv4'), { action: 'failed', code: 'COMMAND_FAILED', message: /exit code 4/ });
  const waiting = install(pod, { ...env, INVALID_DROP_LOCK_WAIT: '60' }, ['NET_ADMIN', 'NET_RAW']);
  holder.child.stdin?.end();
  t.equal((await waiting).exitCode, 0);
});

kernelTest('wrong options stop the pod with a clear message, but never in observe mode', async (t, { pod }) => {
  const wrong = await install(pod, { INVALID_DROP_PROTOCOL: 'udp' });
  t.equal(wrong.exitCode, 2);
  t.match(wrong.events[0], { code: 'OPTION_INVALID', message: /INVALID_DROP_PROTOCOL="udp".*tcp or all/ });
  const observed = await install(pod, { INVALID_DROP_PROTOCOL: 'udp', INVALID_DROP_MODE: 'observe' });
  t.equal(observed.exitCode, 0);
});

kernelTest('the container has a read-only root and the capabilities of its spec, no more', async (t, { pod }) => {
  const probe = async (capabilities: string[]) => {
    const spec = {
      ...containerSpec('install', capabilities),
      command: ['sh', '-c', `grep Cap /proc/self/status; touch ${LICENSE}`],
    };
    return startContainer(pod, spec).end();
  };
  await checkCapabilities(t, await probe(['NET_ADMIN']), '0000000000001000');
  await checkCapabilities(t, await probe(['NET_ADMIN', 'NET_RAW']), '0000000000003000');
});

async function checkCapabilities(t: Test, { stdout, stderr }: { stdout: string; stderr: string }, mask: string) {
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) t.match(stdout, `${set}:\t${mask}\n`);
  t.match(stderr, /Read-only file system/);
}

kernelTest('sets with a hundred thousand addresses cost no memory', async (t, { pod }) => {
  const addresses = Array.from({ length: 100_000 }, (_, i) => `10.${i >> 15}.${(i >> 7) & 255}.${(i & 127) * 2}`);
  const set = `set s { type ipv4_addr; flags interval; elements = { ${addresses.join(', ')} }; }`;
  const chain = 'chain c { type filter hook input priority 0; ip saddr @s drop; tcp dport { 22, 80 } accept; }';
  await pod.must('nft', ['-f', '-'], { input: `table inet firewall {\n${set}\n${chain}\n}\n` });
  const limited = t.testdir({ nft: '#!/bin/sh\nulimit -v 60000\nPATH=/usr/sbin:/sbin:/usr/bin:/bin exec nft "$@"\n' });
  await chmod(`${limited}/nft`, 0o755);
  const { exitCode, events } = await install(pod, { PATH: `${limited}:${process.env['PATH']}` });
  t.equal(exitCode, 0, JSON.stringify(events));
});

kernelTest('an ingress chain on several devices is seen with its devices', async (t, { pod }) => {
  await install(pod);
  const chain = 'type filter hook ingress devices = { eth0, lo } priority 0; policy accept;';
  await pod.must('nft', ['-f', '-'], {
    input: `table netdev n {\n chain c {\n ${chain}\n ip saddr 192.0.2.1 drop\n }\n}\n`,
  });
  const { exitCode, family } = await install(pod);
  t.equal(exitCode, 0, 'what an ingress chain drops or lets pass does not keep the rule from deciding');
  t.match(family('ipv4'), { action: 'left', owner: /invalid-drop/ });
});
