// The ways to lose the rule, as commands that others really run.
import { CHAIN, RULE, TABLE } from '../lib/netfilter/drop-rule.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import type { Backend } from './bench-pod.ts';

export interface Command {
  program: string;
  args: string[];
  input?: string;
}

export interface Way {
  name: string;
  lose: Command;
  /** Takes away what the way leaves behind once the rule is back. */
  tidy?: Command;
}

/** The ways that exist for a backend; a table of iptables-legacy cannot be deleted. */
export function waysToLose(backend: Backend, family: Family): Way[] {
  const iptables = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`;
  const mangle = (...args: string[]): Command => ({ program: iptables, args: ['-t', TABLE, ...args] });
  const accept = ['-p', 'tcp', '-j', 'ACCEPT'];
  const ways: Way[] = [
    { name: 'rule deleted', lose: mangle('-D', CHAIN, ...RULE.tcp.split(' ')) },
    { name: 'chain flushed', lose: mangle('-F', CHAIN) },
    {
      name: 'ACCEPT inserted before it',
      lose: mangle('-I', CHAIN, '1', ...accept),
      tidy: mangle('-D', CHAIN, ...accept),
    },
    {
      name: 'table replaced by iptables-restore',
      lose: { program: `${iptables}-restore`, args: [], input: `*${TABLE}\n:${CHAIN} ACCEPT [0:0]\nCOMMIT\n` },
    },
  ];
  const table = ['delete', 'table', family === 'ipv4' ? 'ip' : 'ip6', TABLE];
  return backend === 'nft' ? [...ways, { name: 'nft table deleted', lose: { program: 'nft', args: table } }] : ways;
}
