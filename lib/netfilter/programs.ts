// The programs that read and write rules, by family and backend.
import type { Family } from './model.ts';

export const FAMILIES: Family[] = ['ipv4', 'ipv6'];

/** The program of a family and backend: `iptables-nft-save`, `ip6tables-legacy-restore` and so on. */
export function programOf(family: Family, backend: 'nft' | 'legacy', what: 'save' | 'restore'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-${what}`;
}
