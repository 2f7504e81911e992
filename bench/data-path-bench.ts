// What the rule and the exemption cost uploads without stray segments: throughput with both and with none, in turn.
import { CHAIN, RULE, TABLE } from '../lib/netfilter/drop-rule.ts';
import { exemptionTable } from '../lib/netfilter/exemption.ts';
import { readLocalSockets } from '../lib/netfilter/local-sockets.ts';
import { EXEMPTION_TABLE } from '../lib/netfilter/nft-statement.ts';
import { addPair, type Pair } from '../test/harness/netns/network-namespaces.ts';
import { startMesh, upload } from '../test/harness/netns/redirected-upload.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { type Figure, makeFigure } from './figure.ts';
import { median, ratios, rounds } from './samples.ts';

/** Short uploads and many pairs: single pairs differ by 10 %, and neighbours in time differ least. */
const BYTES = 100_000_000;
const MB = 1e6;
const PAIRS = 150;
const LEAST_PAIRS = 20;
/** Seconds. */
const TIME = 100;

/** On an error or interruption the caller ends the programs, by stopAll and removeAll. */
export async function benchDataPath(tell: Tell): Promise<Figure[]> {
  const pair = await addPair();
  const programs = await startMesh(pair, 'nft');
  tell('data path: warming up');
  await throughput(pair);
  const bare: number[] = [];
  const guarded: number[] = [];
  for (const i of rounds(PAIRS, LEAST_PAIRS, TIME, Date.now)) {
    tell(`data path: pair ${i + 1} of ${PAIRS}`);
    // Each comes first in every other pair.
    for (const withRule of i % 2 === 0 ? [false, true] : [true, false]) {
      if (withRule) await putIn(pair);
      (withRule ? guarded : bare).push(await throughput(pair));
      if (withRule) await takeOut(pair);
    }
  }
  await Promise.all(programs.map((program) => program.stop()));
  await pair.remove();
  const [value, reference, ratio] = [median(guarded), median(bare), median(ratios(guarded, bare))];
  const name = `data path, clean uploads with the whole cure (${bare.length} pairs)`;
  return [makeFigure({ name, value, unit: 'MB/s', reference, ratio, goal: 'ratio >= 0.97' })];
}

async function putIn(pair: Pair): Promise<void> {
  await editRule(pair, '-I');
  await pair.pod.must('nft', ['-f', '-'], { input: exemptionTable(readLocalSockets()) });
}

async function takeOut(pair: Pair): Promise<void> {
  await pair.pod.must('nft', ['delete', 'table', ...EXEMPTION_TABLE.split(' ')]);
  await editRule(pair, '-D');
}

async function editRule({ pod }: Pair, edit: '-I' | '-D'): Promise<void> {
  await pod.must('iptables-nft', ['-t', TABLE, edit, CHAIN, ...RULE.tcp.split(' ')]);
}

/** MB/s of one upload from the gateway through REDIRECT and proxy to the application. */
async function throughput(pair: Pair): Promise<number> {
  const [one] = await upload(pair, 'ipv4', BYTES, 1);
  if (!one?.ok) throw new Error(`a clean upload failed: ${one?.error}`);
  return BYTES / MB / one.seconds;
}
