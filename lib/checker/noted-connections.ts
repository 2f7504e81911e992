// The connections whose stray segments the exemption's table has noted, as nft lists them.
import { type RunCommand, runCommand } from '../command.ts';
import { errors } from '../errors.ts';
import { setsOf } from '../netfilter/exemption.ts';
import { toItem } from '../netfilter/nft-expression.ts';
import { runNftScript } from '../netfilter/nft-script.ts';
import { ALARM_QUOTA, ANSWER_SETS, EXEMPTION_TABLE, STRAY_SETS } from '../netfilter/nft-statement.ts';
import { familyOf } from '../netfilter/packet.ts';

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
 * Reads what is noted now, after it has reset the alarm: a segment that comes meanwhile raises it again. Where the table
 * has no alarm, reading begins anew.
 * @param timeout milliseconds
 * @throws CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED (the table is missing, or CAP_NET_ADMIN),
 *   NFT_UNREADABLE
 */
export async function readNotes(timeout: number, run: RunCommand = runCommand): Promise<Notes> {
  const list = `list table ${EXEMPTION_TABLE}`;
  let listed = await run('nft', ['-j', `reset quota ${EXEMPTION_TABLE} ${ALARM_QUOTA}; ${list}`], { timeout });
  if (listed.exitCode !== 0) listed = await run('nft', ['-j', list], { timeout });
  if (listed.exitCode !== 0) throw errors.COMMAND_FAILED('nft', listed.exitCode, listed.stderr.trim().slice(0, 200));
  try {
    return parseNotes(listed.stdout);
  } catch {
    throw errors.NFT_UNREADABLE(listed.stdout.slice(0, 80));
  }
}

/** So many commands fit into one script. */
const FORGOTTEN_AT_ONCE = 512;

/**
 * Removes connections from the notes, to make room. One that has gone meanwhile keeps nft from removing the others:
 * they are forgotten in time. Never throws.
 */
export async function forgetNotes(
  connections: NotedConnection[],
  timeout: number,
  run: RunCommand = runCommand,
): Promise<void> {
  const commands = connections.map(({ source, sourcePort, destination, destinationPort, outgoing }) => {
    const { strays, answers } = setsOf(familyOf(source));
    const element = [source, sourcePort, destination, destinationPort].join(' . ');
    return `delete element ${EXEMPTION_TABLE} ${outgoing ? answers : strays} { ${element} }`;
  });
  for (let at = 0; at < commands.length; at += FORGOTTEN_AT_ONCE) {
    const some = commands.slice(at, at + FORGOTTEN_AT_ONCE).join('\n');
    await runNftScript(some, timeout, run).catch(() => undefined);
  }
}

/**
 * @param text what `nft -j` printed of `list table inet invalid-drop`, after what it printed of a reset
 * @throws SyntaxError if it is no JSON
 */
export function parseNotes(text: string): Notes {
  const listings = text
    .trimEnd()
    .split('\n')
    .map((line) => toItem(JSON.parse(line)));
  const items = listings.flatMap((listing) => [listing['nftables'] ?? []].flat().map(toItem));
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
