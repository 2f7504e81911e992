// What the figures were measured on. Of figures from two machines only the ratios can be compared.
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface MachineDescription {
  date: string;
  cpu: string;
  cpus: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  iptables: string;
  nft: string;
  /** Load averages (1, 5 and 15 minutes) at the start: other programs make times longer. */
  loadBefore: number[];
  /** As above, at the end: the bench itself leaves one of about 1. */
  loadAfter: number[];
}

/**
 * Call it at the end.
 * @param versions what `iptables --version` and `nft --version` print
 * @param loadBefore what `readLoad` gave at the start
 */
export function describeMachine(versions: { iptables: string; nft: string }, loadBefore: number[]): MachineDescription {
  const [first] = cpus();
  return {
    date: new Date().toISOString(),
    cpu: first?.model ?? 'unknown',
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    iptables: versionOf(versions.iptables),
    nft: versionOf(versions.nft),
    loadBefore,
    loadAfter: readLoad(),
  };
}

/** Load averages of 1, 5 and 15 minutes. */
export function readLoad(): number[] {
  return loadavg().map((load) => Number(load.toFixed(2)));
}

/** `iptables v1.8.9 (nf_tables)` and `nftables v1.0.6 (Lester Gooch #5)`. */
function versionOf(printed: string): string {
  return printed.match(/v(\d[\d.]*)/)?.[1] ?? 'unknown';
}

/** The lines over the table. */
export function renderMachine(machine: MachineDescription): string {
  const { cpu, cpus: count, memoryGiB, kernel, node, iptables, nft, loadBefore, loadAfter, date } = machine;
  return [
    `${date}, ${count} x ${cpu}, ${memoryGiB} GiB, load ${loadBefore[0]} before and ${loadAfter[0]} after`,
    `Linux ${kernel}, Node ${node}, iptables ${iptables}, nft ${nft}`,
  ].join('\n');
}
