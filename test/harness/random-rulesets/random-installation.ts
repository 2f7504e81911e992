// A random ruleset as the commands that install it: which programs write rules, and in what order.
import type { Family } from '../../../lib/netfilter/packet.ts';
import type { Prng } from './prng.ts';
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
 * Rules of iptables-legacy, iptables-nft and nft, each alone or together, and native nft rules among those of
 * iptables-nft. Which nft table is registered first is random too: it decides at equal priorities.
 */
export function randomInstallation(random: Prng): Installation {
  const legacy = random.chance(0.5);
  const nft = !legacy || random.chance(0.4);
  const atOnce = FAMILIES.map((family) => {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-legacy-restore`;
    return { program, args: ['--wait'], input: legacy ? EMPTY + randomIptables(random, family) : EMPTY };
  });
  const iptables = nft ? FAMILIES.map((family) => nftRestore(random, family)) : [];
  const native = random.chance(0.4) ? [nftFile(randomNft(random))] : [];
  const inOrder = random.chance(0.5) ? [...iptables, ...native] : [...native, ...iptables];
  return { atOnce, legacy, inOrder: nft && random.chance(0.2) ? [...inOrder, nftFile(nativeRule(random))] : inOrder };
}

function nftRestore(random: Prng, family: Family): InstallCommand {
  const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-nft-restore`;
  return {
    program,
    args: ['--noflush'],
    input: `*mangle\n:PREROUTING ACCEPT\nCOMMIT\n${randomIptables(random, family)}`,
  };
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
