// A table with flags, which nft before 1.0.7 prints from memory that it has freed: its output may end there.
import { type RunCommand, runCommand } from '../../lib/command.ts';
import { ownNamespace } from '../../lib/netfilter/namespace-access.ts';
import { makeRulesetReader } from '../../lib/netfilter/ruleset-reader.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { patient } from '../harness/netns/processes.ts';

const CHAIN = 'chain base {\ntype filter hook input priority 0\ntcp dport 1 drop\n}\n';
const RULES = ['ip t0', 'netdev t1', 'inet t2']
  .map((table) => `table ${table} {\nflags dormant\n${table.startsWith('netdev') ? '' : CHAIN}}\n`)
  .join('');
const TIMEOUT = patient(10_000);
const READS = 40;

kernelTest('a ruleset with dormant tables is read whole, however often it is read', async (t, pair) => {
  const enter = `--net=/run/netns/${pair.pod.name}`;
  await pair.pod.must('nft', ['-f', '-'], { input: RULES });
  const run: RunCommand = (command, args, options) => runCommand('nsenter', [enter, '--', command, ...args], options);
  for (let i = 0; i < READS; i++) {
    const { ruleset } = await makeRulesetReader(TIMEOUT, { ...ownNamespace, run })();
    t.strictSame(
      ruleset.map(({ name, dormant }) => [name, dormant]),
      [
        ['t0', true],
        ['t1', true],
        ['t2', true],
      ],
    );
  }
});
