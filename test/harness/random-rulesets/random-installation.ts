// A random ruleset as the commands that install it: which programs write rules, and in what order.
import type { Backend } from '../../../lib/netfilter/model.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';
import type { Prng } from './prng.ts';
import { randomExemptionTable, randomGuard, randomSockets } from './random-exemption.ts';
import { randomIptables } from './random-iptables.ts';
import { randomNft, randomNftRule } from './random-nft.ts';

/** What a random ruleset is made by. */
export interface Installation {
  /** Commands that empty iptables-legacy and fill it, and whether it then holds rules. */
  atOnce: InstallCommand[];
  legacy: boolean;
  /** Commands that follow one by one. */
  inOrder: InstallCommand[];
}

/** A program and its standard input. */
export interface InstallCommand {
  program: string;
  args: string[];
  input: string;
}

const FAMILIES: Family[] = ['ipv4', 'ipv6'];
const TABLES = ['raw', 'mangle', 'nat', 'filter', 'security'];
/** Legacy tables cannot be removed: they stay, without rules. */
const EMPTY = TABLES.map((table) => `*${table}\nCOMMIT\n`).join('');

/**
 * Rules of iptables-legacy, iptables-nft and nft, each alone or together, native nft rules among those of iptables-nft,
 * and the exemption beside them. Which nft table is registered first is random too: it decides at equal priorities.
 */
export function randomInstallation(random: Prng): Installation {
  const legacy = random.chance(0.5);
  const nft = !legacy || random.chance(0.4);
  const sockets = random.chance(0.4) ? randomSockets(random) : undefined;
  const guarded: Backend = legacy && (!nft || random.chance(0.5)) ? 'legacy' : 'nft';
  const rulesOf = (family: Family, backend: Backend) =>
    randomIptables(random, family, sockets && backend === guarded ? randomGuard(random, family, sockets) : []);
  const atOnce = FAMILIES.map((family) => {
    const input = legacy ? EMPTY + rulesOf(family, 'legacy') : EMPTY;
    return { program: restore(family, 'legacy'), args: ['--wait'], input };
  });
  const iptables = nft ? FAMILIES.map((family) => nftRestore(family, rulesOf(family, 'nft'))) : [];
  const tables = [
    ...(random.chance(0.4) ? [randomNft(random)] : []),
    ...(sockets && random.chance(0.8) ? [randomExemptionTable(random, sockets)] : []),
  ];
  const native = tables.length > 0 ? [nftFile((random.chance(0.5) ? tables : tables.reverse()).join(''))] : [];
  const inOrder = random.chance(0.5) ? [...iptables, ...native] : [...native, ...iptables];
  return { atOnce, legacy, inOrder: nft && random.chance(0.2) ? [...inOrder, nftFile(nativeRule(random))] : inOrder };
}

function restore(family: Family, backend: Backend): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-restore`;
}

function nftRestore(family: Family, rules: string): InstallCommand {
  const input = `*mangle\n:PREROUTING ACCEPT\nCOMMIT\n${rules}`;
  return { program: restore(family, 'nft'), args: ['--noflush'], input };
}

/** A native rule in a table that iptables-nft made. */
function nativeRule(random: Prng): string {
  const family = random.pick(['ip', 'ip6'] as const);
  const rule = randomNftRule(random, { family, hook: 'prerouting', chains: [], sets: false });
  return `${random.pick(['insert', 'add'])} rule ${family} mangle PREROUTING ${rule}\n`;
}

function nftFile(input: string): InstallCommand {
  return { program: 'nft', args: ['-f', '-'], input };
}
