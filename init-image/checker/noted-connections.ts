// The connections whose stray segments the exemption's table has noted, as nft lists them.
import { type RunCommand, runCommand } from '../../lib/command.ts';
import { errors } from '../../lib/errors.ts';
import { setsOf } from '../../lib/netfilter/exemption.ts';
import { toItem } from '../../lib/netfilter/nft-expression.ts';
import { ANSWER_SETS, EXEMPTION_TABLE, STRAY_SETS } from '../../lib/netfilter/nft-statement.ts';

/** A connection as its stray segment arrived: the first packet of the connection may have come the other way. */
export interface NotedConnection {
  /** The peer. */
  source: string;
  sourcePort: number;
  /** The address and port in this namespace, before NAT. */
  destination: string;
  destinationPort: number;
  /** The segments are the pod's own: source and destination are those of an answer to the peer. */
  outgoing?: true;
  /** Stray segments since it was first noted; it is forgotten a minute after the last one. */
  segments: number;
}

export interface Notes {
  /** Stray segments of all connections since the table was made. */
  segments: number;
  connections: NotedConnection[];
}

/**
 * Reads what is noted now.
 * @param timeout milliseconds
 * @throws CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED (the table is missing, or CAP_NET_ADMIN),
 *   NFT_UNREADABLE
 */
export async function readNotes(timeout: number, run: RunCommand = runCommand): Promise<Notes> {
  const listed = await run('nft', ['-j', 'list', 'table', ...EXEMPTION_TABLE.split(' ')], { timeout });
  if (listed.exitCode !== 0) throw errors.COMMAND_FAILED('nft', listed.exitCode, listed.stderr.trim().slice(0, 200));
  try {
    return parseNotes(listed.stdout);
  } catch {
    throw errors.NFT_UNREADABLE(listed.stdout.slice(0, 80));
  }
}

/**
 * Removes connections from the notes, to make room. One that has gone meanwhile keeps nft from removing the others:
 * they are forgotten in time. Never throws.
 */
export async function forgetNotes(
  connections: NotedConnection[],
  timeout: number,
  run: RunCommand = runCommand,
): Promise<void> {
  const lines = connections.map(({ source, sourcePort, destination, destinationPort, outgoing }) => {
    const { strays, answers } = setsOf(source.includes(':') ? 'ipv6' : 'ipv4');
    const element = [source, sourcePort, destination, destinationPort].join(' . ');
    return `delete element ${EXEMPTION_TABLE} ${outgoing ? answers : strays} { ${element} }\n`;
  });
  await run('nft', ['-f', '-'], { timeout, input: lines.join('') }).catch(() => undefined);
}

/**
 * @param text what `nft -j list table inet invalid-drop` printed
 * @throws SyntaxError if it is no JSON
 */
export function parseNotes(text: string): Notes {
  const items = [toItem(JSON.parse(text))['nftables'] ?? []].flat().map(toItem);
  const counted = items
    .map(({ rule }) => toItem(rule))
    .filter(({ chain }) => chain === 'stray')
    .flatMap(({ expr }) => [expr ?? []].flat())
    .map((statement) => toItem(toItem(statement)['counter'])['packets'])
    .find((packets) => packets !== undefined);
  const connections = items
    .map(({ set }) => toItem(set))
    .flatMap(({ name, elem }) => [elem ?? []].flat().map((element) => ({ set: String(name), element })))
    .flatMap(({ set, element }): NotedConnection[] => {
      const isAnswer = ANSWER_SETS.some((known) => known === set);
      if (!isAnswer && !STRAY_SETS.some((known) => known === set)) return [];
      const { val, counter } = toItem(toItem(element)['elem']);
      const concat = toItem(val)['concat'];
      const [source, sourcePort, destination, destinationPort] = Array.isArray(concat) ? concat : [];
      if (typeof source !== 'string' || typeof destination !== 'string') return [];
      return [
        {
          ...{ source, sourcePort: Number(sourcePort), destination, destinationPort: Number(destinationPort) },
          ...(isAnswer && { outgoing: true as const }),
          segments: Number(toItem(counter)['packets'] ?? 1),
        },
      ];
    });
  return { segments: Number(counted ?? 0), connections };
}
