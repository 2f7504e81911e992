import t from 'tap';
import { findRedirectTarget } from '../../../lib/netfilter/redirect-target.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { saved } from './ruleset-dumps.ts';

const follow = (table: string, ...lines: string[]) =>
  findRedirectTarget(parseRuleset({ legacySave: { ipv4: saved(table, ...lines) } }), 'ipv4', 'eth0', 9000).to;
const REDIRECT = '-A PREROUTING -p tcp -j REDIRECT --to-ports 15006';

t.test('the packet is the first of a new connection', async (t) => {
  t.equal(follow('nat', '-A PREROUTING -m conntrack --ctstate NEW -j RETURN', REDIRECT), 'itself');
  t.equal(follow('nat', '-A PREROUTING -m conntrack --ctstate INVALID -j RETURN', REDIRECT), 'REDIRECT');
  t.equal(follow('nat', '-A PREROUTING -m conntrack ! --ctstate NEW -j RETURN', REDIRECT), 'REDIRECT');
});

t.test('what is left of a chain whose policy is DROP is for nobody, also after RETURN', async (t) => {
  const drop = ':PREROUTING DROP [0:0]';
  t.equal(follow('mangle', drop), 'nobody');
  t.equal(follow('mangle', drop, '-A PREROUTING -p tcp -j RETURN'), 'nobody');
  t.equal(follow('mangle', drop, '-A PREROUTING -p tcp -j ACCEPT'), 'itself');
});

t.test('RETURN of a chain goes on behind the jump, and after a goto it does not', async (t) => {
  const chain = [':A - [0:0]', '-A A -p tcp -j RETURN'];
  t.equal(follow('nat', ...chain, '-A PREROUTING -j A', REDIRECT), 'REDIRECT');
  t.equal(follow('nat', ...chain, '-A PREROUTING -g A', REDIRECT), 'itself');
});

t.test('a mark that a rule lays on the packet is seen by the next', async (t) => {
  const marked = [
    '-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff',
    '-A PREROUTING -m mark --mark 0x1 -p tcp -j DROP',
  ];
  t.equal(follow('mangle', ...marked), 'nobody');
});

t.test('a match that is not understood does not matter where both branches come to the same proxy', async (t) => {
  const maybe = '-A PREROUTING -p tcp -m strange --sort odd';
  t.equal(follow('nat', `${maybe} -j REDIRECT --to-ports 15006`, REDIRECT), 'REDIRECT');
  t.equal(follow('nat', `${maybe} -j REDIRECT --to-ports 1`, REDIRECT), 'unknown');
  t.equal(follow('nat', `${maybe} -j RETURN`), 'itself');
  t.equal(follow('nat', `${maybe} -j RETURN`, REDIRECT), 'unknown');
});

t.test('what conntrack does to a new connection counts', async (t) => {
  const notrack = saved('raw', '-A PREROUTING -p tcp -j CT --notrack');
  const untracked = parseRuleset({ legacySave: { ipv4: notrack + saved('nat', REDIRECT) } });
  t.equal(findRedirectTarget(untracked, 'ipv4', 'eth0', 9000).to, 'itself', 'chains of type nat are left out');
  const zone = saved('raw', '-A PREROUTING -p tcp -j CT --zone 1');
  const zoned = parseRuleset({ legacySave: { ipv4: zone + saved('nat', REDIRECT) } });
  t.equal(findRedirectTarget(zoned, 'ipv4', 'eth0', 9000).to, 'REDIRECT', 'in a zone of its own too');
  t.equal(follow('raw', '-A PREROUTING -m conntrack --ctstate INVALID -j DROP'), 'nobody', 'before conntrack has run');
  t.equal(follow('nat', '-A PREROUTING -m connmark --mark 0x1 -j RETURN', REDIRECT), 'unknown');
  t.equal(
    follow('mangle', '-A PREROUTING -j CONNMARK --restore-mark', '-A PREROUTING -m mark --mark 0x1 -j DROP'),
    'unknown',
  );
});
