// What install and the checker take beside thousands of rules, with the programs that they run. The limit of their container
// is 128 MiB.
import { setTimeout as wait } from 'node:timers/promises';
import { IMAGE_ENVIRONMENT } from '../lib/contract.ts';
import { NetworkNamespace } from '../test/harness/netns/network-namespaces.ts';
import type { Program } from '../test/harness/netns/processes.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { SIDECAR } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { childrenOf, readMemory } from './proc-numbers.ts';

/** Milliseconds between two looks at the memory. */
const PERIOD = 10;
const MB = 1e6;

const numbered = (count: number, rule: (i: number) => string) => Array.from({ length: count }, (_, i) => rule(i));
const address = (i: number) => `10.${i >> 8}.${i & 255}.7/32`;

interface LargeRuleset {
  lines: string[];
  /** MB. */
  most: number;
}

const RULESETS: Record<string, LargeRuleset> = {
  /** As a proxy of services writes them: no verdict depends on them. */
  '8000 rules behind nat PREROUTING': {
    most: 40,
    lines: [
      '*nat\n:PREROUTING ACCEPT\n:SERVICES -\n-A PREROUTING -j SERVICES',
      ...numbered(8000, (i) => `-A SERVICES -d ${address(i)} -p tcp -m tcp --dport 80 -j ACCEPT`),
    ],
  },
  /** All of which have to be judged: nft alone takes 25 MB for them. The limit is the container's. */
  '3000 rules in mangle PREROUTING': {
    most: 134,
    lines: [
      '*mangle\n:PREROUTING ACCEPT',
      ...numbered(3000, (i) => `-A PREROUTING -s ${address(i)} -p tcp -m tcp --dport ${1000 + i} -j ACCEPT`),
    ],
  },
};

/** On an error or interruption the caller ends the programs, by stopAll and removeAll. */
export async function benchLargeRulesets(tell: Tell): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, { lines, most }] of Object.entries(RULESETS)) {
    tell(`large rulesets: ${name}`);
    const namespace = await new NetworkNamespace('large').add();
    await namespace.must('iptables-nft-restore', ['--noflush'], { input: `${lines.join('\n')}\nCOMMIT\n` });
    const env = { ...process.env, ...IMAGE_ENVIRONMENT };
    const checker = namespace.start(process.execPath, SIDECAR, { env });
    const value = (await peakUntilReady(checker)) / MB;
    await checker.stop();
    await namespace.remove();
    const what = `${name}, most private memory with children`;
    figures.push(makeFigure({ name: what, value, unit: 'MB', goal: `value <= ${most}` }));
  }
  return figures;
}

/** The most that it takes with its children until it has installed and verified. */
async function peakUntilReady(checker: Program): Promise<number> {
  let isReady = false;
  const ready = checker.waitForOutput(/"event":"ready"/, 60_000).finally(() => {
    isReady = true;
  });
  let most = 0;
  while (!isReady) {
    most = Math.max(most, await privateMemory(checker.child.pid ?? 0));
    await wait(PERIOD);
  }
  await ready;
  return most;
}

/** Of a process and its children; without those that end meanwhile. */
async function privateMemory(pid: number): Promise<number> {
  const pids = [pid, ...(await childrenOf(pid).catch(() => []))];
  const sizes = await Promise.all(pids.map((one) => readMemory(one).catch(() => ({ private: 0 }))));
  return sizes.reduce((sum, one) => sum + one.private, 0);
}
