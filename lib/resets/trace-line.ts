// The tracepoint tcp:tcp_send_reset as trace_pipe prints it (include/trace/events/tcp.h). Kernels up to 6.9 print
// sport=, dport=, saddr=, daddr=, saddrv6=, daddrv6=, and no event for a reset without a socket. Kernels from 6.10 on
// print src=, dest= and reason=, and events without a socket too. state= exists since 4.16.

export interface Endpoint {
  /** IPv4 in dotted form, also for an IPv6 socket; "::" and "0.0.0.0" mean any address. */
  address: string;
  port: number;
}

/**
 * A reset that the kernel sends. Where a listening socket sends it, the addresses are the socket's, not the packet's.
 */
export interface Reset {
  /** The process that ran on the CPU; it owns the socket only where `active`. */
  pid: number;
  command: string;
  /** Sent because a program closed or aborted the connection, not in response to a packet. */
  active: boolean;
  local: Endpoint;
  remote: Endpoint;
  /** Such as TCP_LISTEN; undefined without a socket, or where the kernel does not report it. */
  state?: string;
  /** Such as TCP_FLAGS (include/net/rstreason.h); undefined where the kernel does not report it. */
  reason?: string;
}

/** Which optional fields the kernel's event has. */
export interface TraceFormat {
  state: boolean;
  reason: boolean;
}

/** @param text the event's `format` file in tracefs */
export function parseFormat(text: string): TraceFormat {
  const has = (field: string) => new RegExp(`\\b${field};`).test(text);
  return { state: has('state'), reason: has('reason') };
}

/** Parses a line of trace_pipe: a reset, the number of lost events, or undefined for any other line. */
export function parseLine(line: string): Reset | { lost: number } | undefined {
  const lost = line.match(/\[LOST (\d+) EVENTS\]/);
  if (lost) return { lost: Number(lost[1]) };
  // A command may contain spaces, dashes and brackets, so it takes as much of the line as possible.
  const [, command = '', pid = '', printed = ''] =
    line.match(/^\s*(.*)-(\d+)\s+(?:\(.{7}\)\s+)?\[\d+\].*? tcp_send_reset: (.*)$/) ?? [];
  const fields = new Map([...printed.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]));
  const ends = endpoints(fields);
  if (!ends) return undefined;
  const state = unless('UNKNOWN', fields.get('state'));
  const reason = unless('NOT_SPECIFIED', fields.get('reason'));
  const active = /^(0x)?0+$|^\(null\)$/.test(fields.get('skbaddr') ?? '');
  return {
    ...{ pid: Number(pid), command, active, ...ends },
    ...(state === undefined ? {} : { state }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function unless(unknown: string, value: string | undefined): string | undefined {
  return value === unknown ? undefined : value;
}

function endpoints(fields: Map<string, string>): Pick<Reset, 'local' | 'remote'> | undefined {
  const local = parseEndpoint(fields.get('src')) ?? oldEndpoint(fields, 's');
  const remote = parseEndpoint(fields.get('dest')) ?? oldEndpoint(fields, 'd');
  return local && remote ? { local, remote } : undefined;
}

/** %pISpc: `10.0.0.1:9000` or `[fd00::1]:9000`. */
function parseEndpoint(text: string | undefined): Endpoint | undefined {
  const [, six, four, port] = text?.match(/^(?:\[(.*)\]|([\d.]+)):(\d+)$/) ?? [];
  const address = six ?? four;
  return address === undefined ? undefined : { address: plainAddress(address), port: Number(port) };
}

function oldEndpoint(fields: Map<string, string>, which: 's' | 'd'): Endpoint | undefined {
  const [four, six, port] = [`${which}addr`, `${which}addrv6`, `${which}port`].map((name) => fields.get(name));
  if (four === undefined || port === undefined) return undefined;
  // For an IPv6 socket the IPv4 field is 0.0.0.0; for an IPv4 socket the IPv6 field is the mapped address.
  const address = four === '0.0.0.0' && six !== undefined ? plainAddress(six) : four;
  return { address, port: Number(port) };
}

/** An IPv4-mapped IPv6 address in IPv4 form; any other address as it is. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
