// A table with flags, which nft before 1.0.7 prints from memory that it has freed: an answer may end there, and after
// a thousand answers the program dies.
import { type RunCommand, runCommand, startDialogue } from '../../lib/command.ts';
import { NftSession } from '../../lib/netfilter/nft-session.ts';
import { makeReader } from '../../lib/netfilter/ruleset-reader.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { patient } from '../harness/netns/processes.ts';

const CHAIN = 'chain base {\ntype filter hook input priority 0\ntcp dport 1 drop\n}\n';
const RULES = ['ip t0', 'netdev t1', 'inet t2']
  .map((table) => `table ${table} {\nflags dormant\n${table.startsWith('netdev') ? '' : CHAIN}}\n`)
  .join('');
const TIMEOUT = patient(10_000);
/** About half of a session's answers were not whole. */
const READS = 40;

kernelTest('a ruleset with dormant tables is read whole, however often it is read', async (t, pair) => {
  const enter = `--net=/run/netns/${pair.pod.name}`;
  await pair.pod.must('nft', ['-f', '-'], { input: RULES });
  const session = new NftSession(
    (onText, onTrouble) => startDialogue('nsenter', [enter, '--', 'nft', '-j', '-i'], onText, onTrouble),
    TIMEOUT,
  );
  t.teardown(() => session.stop());
  const run: RunCommand = (command, args, options) => runCommand('nsenter', [enter, '--', command, ...args], options);
  for (let i = 0; i < READS; i++) {
    const { ruleset } = await makeReader(TIMEOUT, session, run)();
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
