// The exemption and the rule that drops INVALID packets, as the installer writes them: whole, or parts of them.
import { RULE } from '../../../lib/netfilter/drop-rule.ts';
import { exemptionRule, exemptionTable } from '../../../lib/netfilter/exemption.ts';
import type { LocalSockets } from '../../../lib/netfilter/local-sockets.ts';
import { EXEMPTION_TABLE } from '../../../lib/netfilter/nft-statement.ts';
import type { Family, PortRange } from '../../../lib/netfilter/packet.ts';
import type { Prng } from './prng.ts';
import { STRAY_PROBES } from './probes.ts';
import { type NftRulePlace, randomNftRule } from './random-nft.ts';

/** Ranges that hold ports of some probes, of all, and of none. */
const EPHEMERAL_PORTS: PortRange[] = [
  { from: 9001, to: 9010 },
  { from: 9005, to: 9008 },
  { from: 1024, to: 65_535 },
  { from: 32_768, to: 60_999 },
];

/** Listeners that the exemption is told of. Some of them do not listen any more, and some that do are missing. */
export function randomSockets(random: Prng): LocalSockets {
  const listenersOf = (family: Family) =>
    STRAY_PROBES.filter(({ packet }) => packet.family === family)
      .filter(({ packet }) => random.chance(packet.socket === 'listener' ? 0.6 : 0.1))
      .map(({ packet }) => ({ address: packet.destination, port: packet.destinationPort }));
  return {
    addresses: { ipv4: [], ipv6: [] },
    listeners: { ipv4: listenersOf('ipv4'), ipv6: listenersOf('ipv6') },
    ephemeralPorts: random.pick(EPHEMERAL_PORTS),
  };
}

/** Rules that look listeners up, in other ways than the exemption's own. */
const LOOKUPS = [
  'ip daddr . tcp dport != @listeners4 accept',
  'ip6 daddr . tcp dport != @listeners6 notrack',
  'ip daddr . tcp dport @listeners4 drop',
  'ip6 daddr . tcp dport @listeners6 notrack',
];

/** Input for `nft -f`: the exemption's table, seldom with a rule that is not its own. */
export function randomExemptionTable(random: Prng, sockets: LocalSockets): string {
  const table = exemptionTable(sockets, { socket: random.chance(0.85), alarm: random.chance(0.9) });
  if (random.chance(0.8)) return table;
  const chain = random.pick(['prerouting', 'stray', 'learn']);
  const place: NftRulePlace = { family: 'inet', hook: 'prerouting', chains: [], sets: false };
  const rule = random.chance(0.6) ? randomNftRule(random, place) : random.pick(LOOKUPS);
  return `${table}${random.pick(['insert', 'add'])} rule ${EXEMPTION_TABLE} ${chain} ${rule}\n`;
}

/** Rules of mangle PREROUTING, in their order. */
export function randomGuard(random: Prng, family: Family, sockets: LocalSockets): string[] {
  const exemption = random.chance(0.4) ? [exemptionRule(family, sockets) ?? RULE.tcp] : [];
  const drop = random.chance(0.7) ? [random.pick([RULE.tcp, RULE.tcp, RULE.all])] : [];
  return [...exemption, ...drop];
}
