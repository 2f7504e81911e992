// Runs inside the pod's namespace: installs random rulesets, compares the evaluator's verdicts with what the kernel
// does, prints a line for each packet.
import type { RunCommand } from '../../../lib/command.ts';
import { CodedError, errors } from '../../../lib/errors.ts';
import { ownNamespace } from '../../../lib/netfilter/namespace-access.ts';
import { makeRulesetReader } from '../../../lib/netfilter/ruleset-reader.ts';
import { type Judged, judgeProbe, KernelComparer, type ProbeComparison, TIMEOUT } from './kernel-comparer.ts';
import { makePrng } from './prng.ts';
import { PROBES } from './probes.ts';
import { type InstallCommand, randomInstallation } from './random-installation.ts';
import { Runner } from './shell-runner.ts';

/** One packet under one ruleset. */
export interface KernelComparison extends ProbeComparison {
  seed: number;
  /** The rules as the tools print them, only where the two disagree. */
  ruleset?: string;
}

/** Where the programs are that write rules; those that read them are where PATH says. */
const { PATH, WRITERS } = process.env;
const writers = { ...process.env, PATH: WRITERS ?? PATH };
const writer = new Runner(writers);
const reader = WRITERS === undefined ? writer : new Runner(process.env);
const [gatewayName = '', firstSeed = '', count = ''] = process.argv.slice(2);
const comparer = await KernelComparer.start(gatewayName, writers);

async function must({ program, args, input }: InstallCommand): Promise<void> {
  const { exitCode, stderr } = await writer.run(program, args, { timeout: TIMEOUT, input });
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}\n${input}`);
}

let legacyIsEmpty = false;

async function install(seed: number): Promise<void> {
  const { atOnce, legacy, inOrder } = randomInstallation(makePrng(seed));
  await Promise.all([comparer.observer.reset(), ...(legacy || !legacyIsEmpty ? atOnce : []).map(must)]);
  legacyIsEmpty = !legacy;
  for (const command of inOrder) await must(command);
}

async function printRules(): Promise<string> {
  const programs = ['iptables-legacy-save', 'ip6tables-legacy-save', 'iptables-nft-save', 'ip6tables-nft-save'];
  const saved = await Promise.all(programs.map((program) => reader.run(program, [], { timeout: TIMEOUT })));
  const nft = await reader.run('nft', ['list', 'ruleset'], { timeout: TIMEOUT });
  return [...programs.map((program, i) => `### ${program}\n${saved[i]?.stdout}`), `### nft\n${nft.stdout}`].join('\n');
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
  const comparisons = (await comparer.compare(judged)).map((one) => ({ seed, ...one }));
  const differ = comparisons.some((one) => one.verdict !== 'unknown' && one.verdict !== one.kernel);
  if (!differ) return comparisons;
  const printed = await printRules();
  return comparisons.map((one) => ({ ...one, ruleset: printed }));
}

for (let i = 0; i < Number(count); i++) {
  const comparisons = await compare(Number(firstSeed) + i);
  for (const one of comparisons) process.stdout.write(`${JSON.stringify(one)}\n`);
}
comparer.end();
for (const runner of new Set([writer, reader])) runner.end();
