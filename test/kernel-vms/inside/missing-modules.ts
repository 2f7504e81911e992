// Runs in the guest, before all other tests and alone: a kernel that lacks the modules by which segments of the pod's
// own sockets are spared. Modules that are not loaded yet are made unloadable for a time.
import { readFile, writeFile } from 'node:fs/promises';
import type { Test } from 'tap';
import { kernelTest } from '../../harness/netns/netns-test.ts';
import type { NetworkNamespace } from '../../harness/netns/network-namespaces.ts';
import { must, run } from '../../harness/netns/processes.ts';
import { startMesh } from '../../harness/netns/redirected-upload.ts';
import {
  containerSpec,
  eventsOf,
  install,
  startChecker,
  startContainer,
} from '../../harness/netns/shipped-programs.ts';
import { until } from '../../harness/wait-until.ts';

/** The program that the kernel starts to load a module. */
const LOADER = '/proc/sys/kernel/modprobe';
/** What the rule, the mesh and the notes need: loaded before, as on a node that has had pods. */
const NEEDED = [
  'nf_tables',
  'nft_ct',
  'nft_compat',
  'xt_conntrack',
  'xt_multiport',
  'xt_comment',
  'nf_conntrack_netlink',
];

async function withoutLoading<T>(work: () => Promise<T>): Promise<T> {
  const loader = await readFile(LOADER, 'utf8');
  await writeFile(LOADER, '/bin/false');
  try {
    return await work();
  } finally {
    await writeFile(LOADER, loader.trim());
  }
}

async function isLoaded(module: string): Promise<boolean> {
  return (await readFile('/proc/modules', 'utf8')).includes(`${module} `);
}

async function reportOf(pod: NetworkNamespace) {
  const { stdout } = await startContainer(pod, containerSpec('check', ['NET_ADMIN'], '--once')).end();
  const { result, families } = JSON.parse(stdout);
  const { mustDrop, mustPass, noted } = families.ipv4.external;
  return { result, mustDrop: mustDrop.holds, mustPass: mustPass.holds, reason: mustPass.reason, noted };
}

async function makeReady(t: Test): Promise<void> {
  for (const module of NEEDED) await must('modprobe', [module]);
  // Used until the namespace of the test before is gone.
  await until('xt_socket is unloaded', async () => {
    return !(await isLoaded('xt_socket')) || (await run('modprobe', ['-r', 'xt_socket'])).exitCode === 0;
  });
  t.notOk(await isLoaded('nft_socket'), 'nft_socket is not there yet');
}

kernelTest('without nft_socket and xt_socket the rule alone is put in, and what is lost is said', async (t, pair) => {
  await makeReady(t);
  await startMesh(pair, 'nft');
  const { exitCode, events } = await withoutLoading(() => install(pair.pod));
  t.equal(exitCode, 0, 'the pod starts');
  const [exemption] = events.filter(({ event }) => event === 'exemption');
  t.match(exemption, { level: 'warn', action: 'failed', code: 'EXEMPTION_FAILED', message: /may hang: .*nft failed/ });
  t.match(await withoutLoading(() => reportOf(pair.pod)), {
    ...{ result: 'guarded', mustDrop: 'yes', mustPass: 'no', noted: true },
    reason: /dropped by/,
  });
});

kernelTest('without nft_socket a rule of iptables spares connections that the pod opened', async (t, pair) => {
  await makeReady(t);
  await must('modprobe', ['xt_socket']);
  await startMesh(pair, 'nft');
  const { exitCode, events } = await withoutLoading(() => install(pair.pod));
  t.equal(exitCode, 0);
  const [exemption] = events.filter(({ event }) => event === 'exemption');
  t.match(exemption, { action: 'inserted', form: 'rule' });
  const saved = await pair.pod.must('iptables-nft-save', ['-t', 'mangle']);
  t.match(
    saved,
    /-A PREROUTING -p tcp -m conntrack --ctstate INVALID -m socket -m multiport --dports 32768:60999 .*-j ACCEPT\n.*INVALID -j DROP/,
  );
  t.match(await withoutLoading(() => reportOf(pair.pod)), { mustDrop: 'yes', mustPass: 'yes', noted: true });
});

kernelTest('once the module is there, the checker puts the whole exemption in', async (t, pair) => {
  await makeReady(t);
  await startMesh(pair, 'nft');
  await withoutLoading(() => install(pair.pod));
  const checker = await startChecker(pair.pod);
  await checker.waitForOutput(/"event":"repaired"/);
  const [repaired] = eventsOf(checker).filter(({ event }) => event === 'repaired');
  t.match(repaired, { exemption: { action: 'inserted', form: 'table' } });
  t.match(await reportOf(pair.pod), { mustDrop: 'yes', mustPass: 'yes', noted: true });
});
