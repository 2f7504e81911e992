// Runs inside the pod's namespace: installs random rulesets, compares the evaluator's verdicts with what the kernel
// does, prints a line for each packet.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RunCommand } from '../../../lib/command.ts';
import { CodedError, errors } from '../../../lib/errors.ts';
import { evaluate } from '../../../lib/netfilter/evaluator.ts';
import type { Ruleset } from '../../../lib/netfilter/model.ts';
import { ownNamespace } from '../../../lib/netfilter/namespace-access.ts';
import { LOOPBACK } from '../../../lib/netfilter/packet.ts';
import { makeRulesetReader } from '../../../lib/netfilter/ruleset-reader.ts';
import { judge, judgePass, type PassVerdict, type Verdict } from '../../../lib/netfilter/verdict.ts';
import { patient } from '../netns/processes.ts';
import { closeAll, sendSyn } from './connector.ts';
import { type Counted, Observer } from './observer.ts';
import { openOwnConnections } from './own-connections.ts';
import { makePrng } from './prng.ts';
import { PROBES, type Probe, STRAY_PROBES } from './probes.ts';
import { type InstallCommand, randomInstallation } from './random-installation.ts';
import { Runner } from './shell-runner.ts';

/**
 * One packet: the evaluator's verdict and what the kernel did. Of a packet with a socket of its own the question is
 * whether it reaches it.
 */
export interface KernelComparison {
  seed: number;
  packet: Probe['packet'];
  verdict: Verdict['verdict'] | PassVerdict['holds'];
  reason: string;
  /** What conntrack does not see, as the verdict told, counts as dropped: such packets are not INVALID. */
  kernel: 'dropped' | 'not dropped' | 'yes' | 'no' | 'lost';
  /** The rules as the tools print them, only where the two disagree. */
  ruleset?: string;
}

const TIMEOUT = patient(10_000);
/** Milliseconds between two readings of the counters: many times what a softirq takes. */
const STEP = patient(5);
/** Milliseconds that a packet, or an answer that is expected, is waited for. */
const PATIENCE = patient(3000);

/** Where the programs are that write rules; those that read them are where PATH says. */
const { PATH, WRITERS } = process.env;
const writers = { ...process.env, PATH: WRITERS ?? PATH };
const writer = new Runner(writers);
const reader = WRITERS === undefined ? writer : new Runner(process.env);
/** An older nft than the one that wrote a rule may crash on it. */
const observer = new Observer(writers, TIMEOUT);
const [gatewayName = '', firstSeed = '', count = ''] = process.argv.slice(2);
const connector = fileURLToPath(new URL('connector.ts', import.meta.url));
const enterGateway = [`--net=/run/netns/${gatewayName}`, '--'];
const gateway = spawn('nsenter', [...enterGateway, process.execPath, connector], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const own = await openOwnConnections(['nsenter', ...enterGateway], TIMEOUT);

async function must({ program, args, input }: InstallCommand): Promise<void> {
  const { exitCode, stderr } = await writer.run(program, args, { timeout: TIMEOUT, input });
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}\n${input}`);
}

let legacyIsEmpty = false;

async function install(seed: number): Promise<void> {
  const { atOnce, legacy, inOrder } = randomInstallation(makePrng(seed));
  await Promise.all([observer.reset(), ...(legacy || !legacyIsEmpty ? atOnce : []).map(must)]);
  legacyIsEmpty = !legacy;
  for (const command of inOrder) await must(command);
}

function send({ from, host, localPort, packet }: Probe): void {
  if (from === 'pod') sendSyn(host, packet.destinationPort, localPort);
  else gateway.stdin.write(`${host} ${packet.destinationPort} ${localPort}\n`);
}

/**
 * Until none is left: a SYN that is sent again would be taken for one of the next ruleset's, which is not yet whole.
 */
async function closeConnections(): Promise<void> {
  const closed = once(gateway.stdout, 'data', { signal: AbortSignal.timeout(TIMEOUT) });
  closeAll();
  gateway.stdin.write('close\n');
  await closed;
}

/**
 * What the kernel did with each probe. A packet passes all hooks, and is answered, within the softirq that counted its
 * arrival; the counters are read once more milliseconds after the arrival was seen. Answers that the verdict expects are
 * waited for longer, so that a slow machine can at worst hide a wrong "dropped"; it cannot cause a disagreement.
 */
async function observe(judged: Judged[]): Promise<Map<number, KernelComparison['kernel']>> {
  const portsOf = (some: Judged[]) => new Set(some.map(({ packet }) => packet.destinationPort));
  const expected = portsOf(judged.filter(({ verdict }) => verdict === 'not dropped' || verdict === 'yes'));
  const untracked = portsOf(judged.filter((told) => told.verdict === 'dropped' && told.untracked));
  for (const probe of STRAY_PROBES) send(probe);
  own.send();
  const deadline = Date.now() + PATIENCE;
  for (let arrived = false; ; ) {
    const counts = await observer.read();
    const answered = [...counts].every(([port, counted]) => isAnswered(counted) || !expected.has(port));
    if ((arrived && answered) || Date.now() > deadline) {
      return new Map(
        PROBES.map(({ packet }) => {
          const counted = counts.get(packet.destinationPort);
          const isUntracked = untracked.has(packet.destinationPort) && counted?.tracked === 0;
          return [packet.destinationPort, isUntracked ? 'dropped' : outcomeOf(packet, counted)];
        }),
      );
    }
    arrived = [...counts.values()].every((counted) => counted.arrived > 0);
    await wait(STEP);
  }
}

function isAnswered({ reset, acknowledged }: Counted): boolean {
  return reset + acknowledged > 0;
}

/** No reset comes from the socket of an established connection: a rule answers in its place. */
function outcomeOf({ socket }: Probe['packet'], counted: Counted | undefined): KernelComparison['kernel'] {
  if (!counted || counted.arrived === 0) return 'lost';
  if (socket === 'own') return counted.acknowledged > 0 && counted.reset === 0 ? 'yes' : 'no';
  return counted.reset > 0 ? 'not dropped' : 'dropped';
}

async function printRules(): Promise<string> {
  const programs = ['iptables-legacy-save', 'ip6tables-legacy-save', 'iptables-nft-save', 'ip6tables-nft-save'];
  const saved = await Promise.all(programs.map((program) => reader.run(program, [], { timeout: TIMEOUT })));
  const nft = await reader.run('nft', ['list', 'ruleset'], { timeout: TIMEOUT });
  return [...programs.map((program, i) => `### ${program}\n${saved[i]?.stdout}`), `### nft\n${nft.stdout}`].join('\n');
}

interface Judged extends Pick<KernelComparison, 'packet' | 'verdict' | 'reason'> {
  /** A rule may take its whole flow out of conntrack. */
  untracked: boolean;
}

function judgeProbe(ruleset: Ruleset, { packet }: Probe): Judged {
  if (packet.socket === 'own') {
    const told = judgePass(ruleset, packet);
    return { packet, untracked: false, verdict: told.holds, reason: told.holds === 'yes' ? '' : told.reason };
  }
  const told = judge(ruleset, packet);
  const untracked = evaluate(ruleset, packet).some(({ path }) => path?.untrackedFlow && packet.iif !== LOOPBACK);
  // What the checker judges: all packets that arrive there.
  const { ctstate, family, iif, socket, destination } = packet;
  const all = judge(ruleset, { ctstate, family, iif, socket, localAddresses: [destination] });
  if (told.verdict === 'dropped') return { packet, untracked, verdict: 'dropped', reason: '' };
  if (all.verdict === 'dropped') return { packet, untracked, verdict: 'dropped', reason: 'as all on its interface' };
  return { packet, untracked, verdict: told.verdict, reason: told.reason };
}

/** What is taken for too large to be listed with the memory of small rulesets: nothing, the whole, and each table too. */
const TOO_LARGE = [[], ['ruleset'], ['ruleset', 'table']];

/** The verdict on each probe: unknown where the rules cannot be read. */
async function judgeAll(seed: number): Promise<Judged[]> {
  try {
    const refused = TOO_LARGE[seed % TOO_LARGE.length] ?? [];
    const run: RunCommand = async (program, args, options) => {
      if (options.memory && refused.some((what) => args.includes(what)))
        throw errors.COMMAND_TOO_LARGE(program, 'took', 0);
      return reader.run(program, args, options);
    };
    const { ruleset } = await makeRulesetReader(TIMEOUT, { ...ownNamespace, run })();
    return PROBES.map((probe) => judgeProbe(ruleset, probe));
  } catch (error) {
    // A timeout on a slow machine is no verdict.
    if (!(error instanceof CodedError) || error.code === 'COMMAND_TIMEOUT') throw error;
    return PROBES.map(({ packet }) => ({ packet, untracked: false, verdict: 'unknown', reason: error.message }));
  }
}

async function compare(seed: number): Promise<KernelComparison[]> {
  await install(seed);
  const judged = await judgeAll(seed);
  const kernel = await observe(judged);
  await closeConnections();
  const comparisons = judged.map(({ untracked: _, ...told }) => ({
    ...{ seed, ...told },
    kernel: kernel.get(told.packet.destinationPort) ?? ('lost' as const),
  }));
  const differ = comparisons.some((one) => one.verdict !== 'unknown' && one.verdict !== one.kernel);
  if (!differ) return comparisons;
  const printed = await printRules();
  return comparisons.map((one) => ({ ...one, ruleset: printed }));
}

const listeners = STRAY_PROBES.map(({ packet }) => {
  const host = packet.socket === 'listener' ? packet.destination : undefined;
  return createServer((socket) => socket.destroy()).listen({ host, port: packet.destinationPort });
});
for (let i = 0; i < Number(count); i++) {
  const comparisons = await compare(Number(firstSeed) + i);
  for (const one of comparisons) process.stdout.write(`${JSON.stringify(one)}\n`);
}
gateway.stdin.end();
own.end();
observer.end();
for (const runner of new Set([writer, reader])) runner.end();
for (const listener of listeners) listener.close();
