// Runs inside the pod's namespace: installs random rulesets, asks the verdict and the kernel, prints a line for each.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../../init-image/command.ts';
import { makeReader } from '../../../init-image/reader.ts';
import { judge } from '../../../init-image/verdict/verdict.ts';
import { closeAll, sendSyn } from './connector.ts';
import { randomIptables } from './iptables-rules.ts';
import { randomNft, randomNftRule } from './nft-rules.ts';
import { OBSERVER, PROBES, type Probe, readObserver, SHAPER } from './observer.ts';
import { makePrng, type Prng } from './prng.ts';

/** One packet: what the verdict said and what the kernel did. */
export interface Comparison {
  seed: number;
  packet: Probe['packet'];
  verdict: string;
  reason: string;
  kernel: 'dropped' | 'escapes' | 'lost';
  /** Printed rules, only where the two disagree. */
  ruleset?: string;
}

const TIMEOUT = 10_000;
const PATIENCE = 3000;
const EMPTY = '*raw\nCOMMIT\n*mangle\nCOMMIT\n*filter\nCOMMIT\n';
const IPTABLES = { ipv4: 'iptables', ipv6: 'ip6tables' };
const FAMILIES = ['ipv4', 'ipv6'] as const;

const [gatewayName = '', firstSeed = '', count = ''] = process.argv.slice(2);
const connector = fileURLToPath(new URL('connector.ts', import.meta.url));
const gateway = spawn('nsenter', [`--net=/run/netns/${gatewayName}`, '--', process.execPath, connector], {
  stdio: ['pipe', 'inherit', 'inherit'],
});

async function must(command: string, args: string[], input: string): Promise<void> {
  const { exitCode, stderr } = await runCommand(command, args, { timeout: TIMEOUT, input });
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}\n${input}`);
}

/** Which programs write rules: each alone, together, and native nft rules among those of iptables-nft. */
async function installRandom(random: Prng): Promise<void> {
  await must('nft', ['-f', '-'], `flush ruleset\n${SHAPER}${OBSERVER}`);
  const legacy = random.chance(0.5);
  const nft = !legacy || random.chance(0.3);
  for (const family of FAMILIES) {
    await must(`${IPTABLES[family]}-legacy-restore`, [], legacy ? EMPTY + randomIptables(random, family) : EMPTY);
    if (nft) await must(`${IPTABLES[family]}-nft-restore`, ['--noflush'], randomIptables(random, family));
  }
  if (random.chance(0.4)) await must('nft', ['-f', '-'], randomNft(random));
  if (nft && random.chance(0.3)) await insertNative(random);
}

async function insertNative(random: Prng): Promise<void> {
  const family = random.pick(['ip', 'ip6'] as const);
  const rule = randomNftRule(random, family, { chains: [], reject: false, sets: false });
  const place = random.pick(['insert', 'add']);
  await must('nft', ['-f', '-'], `${place} rule ${family} mangle PREROUTING ${rule}\n`);
}

function send({ from, host, localPort, packet }: Probe): void {
  if (from === 'pod') sendSyn(host, packet.destinationPort, localPort);
  else gateway.stdin?.write(`${host} ${packet.destinationPort} ${localPort}\n`);
}

/**
 * What the kernel did with each probe. A packet passes all hooks, and is answered, within one softirq; the counters
 * are read by a process that is started after the arrival was seen, some milliseconds later. `expected` resets are
 * waited for longer, so that a slow machine can hide a wrong "dropped" at worst, and never invent one.
 */
async function observe(expected: Set<number>): Promise<Map<number, Comparison['kernel']>> {
  for (const probe of PROBES) send(probe);
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const before = await readObserver();
    const counts = [...before.keys()].every((port) => before.get(port)?.arrived) ? await readObserver() : before;
    const complete = [...counts].every(
      ([port, { arrived, reset }]) => arrived > 0 && (reset > 0 || !expected.has(port)),
    );
    if ((complete && counts !== before) || Date.now() > deadline) {
      const outcome = ({ arrived, reset }: { arrived: number; reset: number }) =>
        arrived === 0 ? ('lost' as const) : reset > 0 ? ('escapes' as const) : ('dropped' as const);
      return new Map([...counts].map(([port, count]) => [port, outcome(count)]));
    }
    await wait(1);
  }
}

async function printRules(): Promise<string> {
  const programs = ['iptables-legacy-save', 'ip6tables-legacy-save', 'iptables-nft-save', 'ip6tables-nft-save'];
  const saved = await Promise.all(programs.map((program) => runCommand(program, [], { timeout: TIMEOUT })));
  const nft = await runCommand('nft', ['list', 'ruleset'], { timeout: TIMEOUT });
  return [...programs.map((program, i) => `### ${program}\n${saved[i]?.stdout}`), `### nft\n${nft.stdout}`].join('\n');
}

async function compare(seed: number): Promise<Comparison[]> {
  await installRandom(makePrng(seed));
  const { ruleset } = await makeReader(TIMEOUT)();
  const verdicts = PROBES.map(({ packet }) => judge(ruleset, packet));
  const escaping = PROBES.filter((_, i) => verdicts[i]?.verdict === 'escapes').map(
    ({ packet }) => packet.destinationPort,
  );
  const kernel = await observe(new Set(escaping));
  closeAll();
  gateway.stdin?.write('close\n');
  const comparisons = PROBES.map(({ packet }, i) => {
    const verdict = verdicts[i];
    const reason = verdict && verdict.verdict !== 'dropped' ? verdict.reason : '';
    return {
      seed,
      packet,
      verdict: verdict?.verdict ?? '',
      reason,
      kernel: kernel.get(packet.destinationPort) ?? 'lost',
    };
  });
  const differ = comparisons.some((one) => one.verdict !== 'unknown' && one.verdict !== one.kernel);
  if (!differ) return comparisons;
  const printed = await printRules();
  return comparisons.map((one) => ({ ...one, ruleset: printed }));
}

const listeners = PROBES.map(({ packet }) => createServer((socket) => socket.destroy()).listen(packet.destinationPort));
for (let i = 0; i < Number(count); i++) {
  for (const comparison of await compare(Number(firstSeed) + i))
    process.stdout.write(`${JSON.stringify(comparison)}\n`);
}
gateway.stdin?.end();
for (const listener of listeners) listener.close();
