// Runs inside the pod's namespace, before there are any rules: `compare-in-place.ts GATEWAY` says ready, then answers each
// line on standard input with a line of JSON, which has the verdicts on the ruleset that is there, and what the kernel does.
import { createInterface } from 'node:readline';
import { ownNamespace } from '../../../lib/netfilter/namespace-access.ts';
import { makeRulesetReader } from '../../../lib/netfilter/ruleset-reader.ts';
import { judgeProbe, KernelComparer, TIMEOUT } from '../random-rulesets/kernel-comparer.ts';
import { PROBES } from '../random-rulesets/probes.ts';

const [gatewayName = ''] = process.argv.slice(2);
const comparer = await KernelComparer.start(gatewayName, process.env);
const read = makeRulesetReader(TIMEOUT, ownNamespace);
process.stdout.write('ready\n');
for await (const _ of createInterface({ input: process.stdin })) {
  await comparer.observer.restart();
  const { ruleset } = await read();
  const compared = await comparer.compare(PROBES.map((probe) => judgeProbe(ruleset, probe)));
  process.stdout.write(`${JSON.stringify(compared)}\n`);
}
comparer.end();
