// The shipped bundles on older and newer bases than the image's, on this kernel.
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import { DROP_FROM_1_24, DROP_TO_1_23, redirectRules } from '../harness/netns/istio-rules.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { eventsOf } from '../harness/netns/shipped-programs.ts';
import type { ChangedExchange } from '../harness/never-worse/changed-exchange.ts';
import { ExchangeObserver } from '../harness/never-worse/observe-exchanges.ts';
import { until } from '../harness/wait-until.ts';
import { compareUserlands, makeTree, mustInTree, startInTree, USERLANDS } from './userland.ts';

const FAMILIES = ['ipv4', 'ipv6'] as const;
const BACKENDS = ['nft', 'legacy'] as const;
const OURS = `-A PREROUTING ${RULE.tcp}`;
const trees = new Map<string, string>();
const treeOf = (suite: string) => trees.get(suite) ?? '';
const prefixOf = (family: (typeof FAMILIES)[number]) => (family === 'ipv4' ? 'iptables' : 'ip6tables');

/** A segment half a window over the first window: conntrack takes it for sent, and all that follow for INVALID. */
const HALF_OVER = { change: { sequence: 65_160 + 30_000 }, script: 0, seed: 1 } as const;
const HANGING: ChangedExchange[] = FAMILIES.flatMap((family) => [
  { ...HALF_OVER, family, route: 'redirected', segment: 'request' },
  { ...HALF_OVER, family, route: 'outbound', segment: 'answer' },
]);

// Before the tests: a tree takes longer than a test may.
for (const userland of USERLANDS) trees.set(userland.suite, await makeTree(userland));

async function install(pod: NetworkNamespace, suite: string, env: Record<string, string> = {}) {
  const program = startInTree(pod, treeOf(suite), ['node', '/opt/invalid-drop/install.js'], env);
  const { exitCode, stdout, stderr } = await program.end();
  const events = eventsOf({ output: stdout });
  return { exitCode, stderr, events, actions: events.filter(({ event }) => event === 'family') };
}

const RESULTS = ['guarded', 'not guarded', 'cannot tell'];

/** The result of `check --once` by its exit code, and what it prints. */
async function checkOnce(pod: NetworkNamespace, suite: string) {
  const program = startInTree(pod, treeOf(suite), ['node', '/opt/invalid-drop/check.js', '--once']);
  const { exitCode, stdout } = await program.end();
  return { result: RESULTS[exitCode ?? -1], stdout };
}

for (const { suite, iptables, nftables } of USERLANDS) {
  const name = `${suite} (iptables ${iptables}, nftables ${nftables})`;

  kernelTest(`${name}: these are its versions`, async (t, { pod }) => {
    t.match(await mustInTree(pod, treeOf(suite), ['iptables-nft', '--version']), `v${iptables} `);
    t.match(await mustInTree(pod, treeOf(suite), ['nft', '--version']), `v${nftables}`);
  });

  kernelTest(`${name}: an empty pod gets one rule a family, and a check says so`, async (t, { pod }) => {
    t.match(await checkOnce(pod, suite), { result: 'not guarded' });
    for (const action of ['inserted', 'left']) {
      const { exitCode, actions, stderr } = await install(pod, suite);
      t.equal(exitCode, 0, stderr);
      t.match(actions, [{ action }, { action }]);
    }
    t.match(await checkOnce(pod, suite), { result: 'guarded' });
  });

  kernelTest(
    `${name}: a connection's own socket is spared, strays are noted, and the alarm is there`,
    async (t, { pod }) => {
      const { exitCode, events, stderr } = await install(pod, suite);
      t.equal(exitCode, 0, stderr);
      t.match(
        events.filter(({ event }) => event === 'exemption'),
        [{ action: 'inserted', form: 'table' }],
      );
      const { families } = JSON.parse((await checkOnce(pod, suite)).stdout);
      for (const family of FAMILIES)
        t.match(families[family].loopback, { mustPass: { holds: 'yes' }, mustDrop: { holds: 'yes' }, noted: true });
      t.match(
        await mustInTree(pod, treeOf(suite), ['nft', 'list', 'quota', 'inet', 'invalid-drop', 'alarm']),
        /over 1 bytes/,
      );
      t.match((await install(pod, suite)).events, [{}, {}, { event: 'exemption', action: 'left' }, {}]);
    },
  );

  kernelTest(`${name}: where mangle cannot take the rule, it has a table of its own`, async (t, { pod }) => {
    const native = ['ip', 'ip6'].map((family) => `add table ${family} mangle; add chain ${family} mangle PREROUTING`);
    await mustInTree(pod, treeOf(suite), ['nft', native.join('; ')]);
    const { exitCode, actions, stderr } = await install(pod, suite);
    t.equal(exitCode, 0, stderr);
    const inserted = { action: 'inserted', backend: 'nft', form: 'table' };
    t.match(actions, [inserted, inserted]);
    t.match(await checkOnce(pod, suite), { result: 'guarded' });
  });

  for (const backend of BACKENDS) {
    kernelTest(`${name}: connections that would hang are rescued, both ways (${backend})`, async (t, pair) => {
      const { pod } = pair;
      const observer = await ExchangeObserver.start(pair);
      const env = { INVALID_DROP_BACKEND: backend };
      t.equal((await install(pod, suite, env)).exitCode, 0);
      const checker = startInTree(pod, treeOf(suite), ['node', '/opt/invalid-drop/check.js'], env);
      await checker.waitForOutput(/"event":"ready"/);
      const observed = await observer.observe(HANGING);
      t.same(
        observed.map(({ fate }) => fate),
        HANGING.map(() => 'fine'),
      );
      // Spared segments keep a connection going before it is rescued.
      const rescued = () => eventsOf(checker).filter(({ event }) => event === 'rescued').length;
      await until('all are rescued', () => rescued() >= HANGING.length);
      t.notMatch(checker.output, /rescue-failed|exemption-lost|"drift"/);
    });

    kernelTest(`${name}: beside Istio's rules the rule goes to the same backend (${backend})`, async (t, { pod }) => {
      for (const family of FAMILIES) {
        const restore = [`${prefixOf(family)}-${backend}-restore`, '--noflush'];
        await mustInTree(pod, treeOf(suite), restore, redirectRules(family));
      }
      const { exitCode, actions, stderr } = await install(pod, suite);
      t.equal(exitCode, 0, stderr);
      t.match(actions, [
        { action: 'inserted', backend },
        { action: 'inserted', backend },
      ]);
      for (const family of FAMILIES) {
        const saved = await mustInTree(pod, treeOf(suite), [`${prefixOf(family)}-${backend}-save`, '-t', 'mangle']);
        t.same(
          saved.split('\n').filter((line) => line.startsWith('-A')),
          [OURS],
        );
      }
      t.match(await checkOnce(pod, suite), { result: 'guarded' });
    });

    kernelTest(`${name}: Istio's own rule is known (${backend})`, async (t, { pod }) => {
      for (const input of [DROP_TO_1_23, DROP_FROM_1_24]) {
        for (const family of FAMILIES) {
          await mustInTree(pod, treeOf(suite), [`${prefixOf(family)}-${backend}`, '-t', 'mangle', '-F']);
          await mustInTree(pod, treeOf(suite), [`${prefixOf(family)}-${backend}-restore`, '--noflush'], input);
        }
        t.match((await install(pod, suite)).actions, [{ action: 'left' }, { action: 'left' }]);
      }
    });
  }
}

/** Rules that older programs print in part or leave out, and the result that is wrong for each beside our own rule. */
const NEWER = [
  { rule: 'add rule ip mangle PREROUTING meta mark set meta mark | 0x2', never: 'not guarded' },
  { rule: 'insert rule ip mangle PREROUTING meta mark set meta mark | 0x2', never: 'not guarded' },
  {
    rule: 'insert rule ip mangle PREROUTING ip saddr . tcp dport { 192.0.2.0/24 . 80, 10.77.0.0/16 . 9000 } accept',
    never: 'guarded',
  },
  {
    rule: 'insert rule ip mangle PREROUTING ct state invalid tcp dport vmap { 9000 : accept, 9001 : drop }',
    never: 'guarded',
  },
  { rule: 'insert rule ip mangle PREROUTING @th,0,16 40000 accept', never: 'guarded' },
  { rule: 'insert rule ip mangle PREROUTING @ih,0,8 0x41 accept', never: 'guarded' },
  { rule: 'insert rule ip mangle PREROUTING tcp option sack-perm exists accept', never: 'guarded' },
];

kernelTest('an older userland never has a wrong verdict on the rules of a newer one', async (t, { pod }) => {
  const [newest = '', ...older] = USERLANDS.map(({ suite }) => suite).reverse();
  const nft = (input: string) => mustInTree(pod, treeOf(newest), ['nft', '-f', '-'], input);
  for (const { rule, never } of NEWER) {
    await nft('flush ruleset\n');
    t.equal((await install(pod, newest)).exitCode, 0);
    await nft(`${rule}\n`);
    for (const suite of [newest, ...older]) {
      const { result, stdout } = await checkOnce(pod, suite);
      t.not(result, never, `${suite}: ${result}: ${rule}`);
      if (result === 'cannot tell') t.match(stdout, /"(reason|message)": ?".{10}/, `${suite} says why`);
    }
  }
});

for (const [writer, reader] of [
  ['trixie', 'bullseye'],
  ['trixie', 'bookworm'],
  ['trixie', 'trixie'],
]) {
  kernelTest(`what ${reader} reads of ${writer}’s random rulesets agrees with the kernel`, async (t, pair) => {
    const compared = await compareUserlands(pair, treeOf(writer ?? ''), treeOf(reader ?? ''), t.testdir({}));
    const wrong = compared.filter(({ verdict, kernel }) => verdict !== 'unknown' && verdict !== kernel);
    const unknown = compared.filter(({ verdict }) => verdict === 'unknown');
    t.comment(`${compared.length} packets, ${unknown.length} unknown, ${wrong.length} disagreements`);
    for (const { seed, reason, kernel, ruleset } of wrong.slice(0, 3))
      t.fail(`seed ${seed}: ${reason}`, { kernel, ruleset });
    t.equal(wrong.length, 0, 'no disagreement');
    t.same(
      unknown.filter(({ reason }) => reason === ''),
      [],
      'unknown has a reason',
    );
    t.ok(unknown.length < compared.length, 'not all is unknown');
  });
}
