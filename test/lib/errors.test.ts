import t from 'tap';
import { errors } from '../../lib/errors.ts';

t.test('a program that may not is reported with what it needs, in one line', async (t) => {
  // As nft 1.0.6 and iptables-nft 1.8.9 say it.
  const nft = 'Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed';
  const iptables = 'Could not fetch rule set generation id: Permission denied (you must be root)';
  for (const stderr of [nft, iptables]) {
    const { message } = errors.COMMAND_FAILED('nft', 1, stderr);
    t.match(message, /^nft failed with exit code 1: .* \(the container needs CAP_NET_ADMIN and uid 0: .*\)$/);
  }
});

t.test('a program that fails for another reason is reported as it says', async (t) => {
  t.equal(errors.COMMAND_FAILED('nft', 4, 'no lock').message, 'nft failed with exit code 4: no lock');
});
