// Makes one connection liberal in conntrack: its packets are then never INVALID for their sequence numbers
// (IP_CT_TCP_FLAG_BE_LIBERAL, tcp_in_window in net/netfilter/nf_conntrack_proto_tcp.c).
import { type ProgramOutput, type RunCommand, runCommand } from '../command.ts';
import { type CodedError, errors } from '../errors.ts';
import { familyOf } from '../netfilter/packet.ts';
import type { NotedConnection } from './noted-connections.ts';

/** An entry of conntrack: the connection's first packet, and when it is forgotten. */
export interface ConntrackEntry {
  source: string;
  destination: string;
  sourcePort: string;
  destinationPort: string;
  state: string;
  /** Seconds until it is forgotten if no packet comes. */
  timeout: number;
}

/** `rescued`: it is liberal now. `gone`: conntrack has no such connection, or one that is closed. */
export type RescueResult = 'rescued' | 'gone';

const ENTRY = /^tcp +6 (\d+) ([A-Z_0-9]+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) /m;

/** @param text what `conntrack -G` or `-U` printed. @returns undefined where there is no entry of TCP */
export function parseEntry(text: string): ConntrackEntry | undefined {
  const [whole, timeout, state = '', source = '', destination = '', sourcePort = '', destinationPort = ''] =
    text.match(ENTRY) ?? [];
  if (whole === undefined) return undefined;
  return { source, destination, sourcePort, destinationPort, state, timeout: Number(timeout) };
}

/** States in which no data can come any more (nf_conntrack_proto_tcp.c). */
const CLOSED = new Set(['NONE', 'SYN_SENT', 'TIME_WAIT', 'CLOSE']);

const NONE_SHOWN = /\b0 flow entries/;

/**
 * What the timeout grows by, in seconds, until something is updated: a packet that comes meanwhile may set the very
 * timeout that is asked for, most likely one that is little longer. The next packet sets it anew.
 */
const LONGER = [10, 20];

/**
 * conntrack-tools send the flag with every update of an entry that changes something (1.4.6 to 1.4.8), and nothing
 * where the entry is as wanted.
 * @param timeout milliseconds for each program
 * @throws CodedError COMMAND_MISSING, COMMAND_TIMEOUT, COMMAND_FAILED
 */
export async function makeLiberal(
  { source, sourcePort, destination, destinationPort }: NotedConnection,
  timeout: number,
  run: RunCommand = runCommand,
): Promise<RescueResult> {
  const noted = tupleArguments(source, destination, sourcePort, destinationPort);
  let found = await run('conntrack', ['-G', ...noted], { timeout });
  // The kernel finds an entry by the tuple of either direction, but only the first packet's is shown (1.4.7).
  if (found.exitCode !== 0 && NONE_SHOWN.test(found.stderr)) {
    const reply = ['-r', source, '-q', destination];
    const ports = ['--reply-port-src', String(sourcePort), '--reply-port-dst', String(destinationPort)];
    found = await run('conntrack', ['-L', '-f', familyOf(source), '-p', 'tcp', ...reply, ...ports], { timeout });
  }
  const entry = found.exitCode === 0 ? parseEntry(found.stdout) : undefined;
  if (!entry) {
    if (/doesn't exist/.test(found.stderr) || NONE_SHOWN.test(found.stderr)) return 'gone';
    throw failed(found);
  }
  if (CLOSED.has(entry.state)) return 'gone';
  const tuple = tupleArguments(entry.source, entry.destination, entry.sourcePort, entry.destinationPort);
  for (const longer of LONGER) {
    const timeoutOption = ['-t', String(entry.timeout + longer)];
    const updated = await run('conntrack', ['-U', '-f', familyOf(source), ...tuple, ...timeoutOption], { timeout });
    // Where nothing was updated, the exit code may be 0 or 1.
    if (updated.exitCode !== 0 && !NONE_SHOWN.test(updated.stderr)) throw failed(updated);
    // An entry that was updated is printed.
    if (parseEntry(updated.stdout)) return 'rescued';
  }
  return 'gone';
}

function tupleArguments(source: string, destination: string, sourcePort: unknown, destinationPort: unknown): string[] {
  const ports = ['--sport', String(sourcePort), '--dport', String(destinationPort)];
  return ['-p', 'tcp', '-s', source, '-d', destination, ...ports];
}

function failed({ exitCode, stderr }: ProgramOutput): CodedError {
  return errors.COMMAND_FAILED('conntrack', exitCode, stderr.trim().slice(0, 200));
}
