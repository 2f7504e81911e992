// The tracepoint tcp:tcp_send_reset as trace_pipe prints it (include/trace/events/tcp.h). Up to 6.9 it prints
// sport=, dport=, saddr=, daddr=, saddrv6=, daddrv6= and is silent where there is no socket; from 6.10 src=, dest= and
// reason=, also without a socket. `state` is there since 4.16.

export interface Endpoint {
  /** IPv4 in dotted form also where the socket is an IPv6 one; "::" and "0.0.0.0" are any. */
  address: string;
  port: number;
}

/** A reset that the kernel sends. For a listening socket the addresses are the socket's, not the packet's. */
export interface Reset {
  /** Which task ran on that CPU: of the socket's owner only where `active`. */
  pid: number;
  command: string;
  /** Sent because a program closed or aborted, not as an answer to a packet. */
  active: boolean;
  local: Endpoint;
  remote: Endpoint;
  /** Such as TCP_LISTEN; undefined where the kernel does not tell, or there is no socket. */
  state?: string;
  /** Such as TCP_FLAGS (include/net/rstreason.h); undefined where the kernel does not tell. */
  reason?: string;
}

/** What the kernel's event can tell, from its `format` file. */
export interface Format {
  state: boolean;
  reason: boolean;
}

export function parseFormat(text: string): Format {
  const has = (field: string) => new RegExp(`\\b${field};`).test(text);
  return { state: has('state'), reason: has('reason') };
}

/** A line of trace_pipe: a reset, how many events were lost, or undefined for anything else. */
export function parseLine(line: string): Reset | { lost: number } | undefined {
  const lost = line.match(/\[LOST (\d+) EVENTS\]/);
  if (lost) return { lost: Number(lost[1]) };
  // A command may hold spaces, dashes and brackets: what follows it is matched from its end.
  const [, command = '', pid = '', printed = ''] =
    line.match(/^\s*(.*)-(\d+)\s+(?:\(.{7}\)\s+)?\[\d+\].*? tcp_send_reset: (.*)$/) ?? [];
  const fields = new Map([...printed.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]));
  const ends = endpoints(fields);
  if (!ends) return undefined;
  const state = known(fields.get('state'), 'UNKNOWN');
  const reason = known(fields.get('reason'), 'NOT_SPECIFIED');
  const active = /^(0x)?0+$|^\(null\)$/.test(fields.get('skbaddr') ?? '');
  return {
    ...{ pid: Number(pid), command, active, ...ends },
    ...(state === undefined ? {} : { state }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function known(value: string | undefined, unknown: string): string | undefined {
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
  // The IPv4 member of an IPv6 socket is 0.0.0.0; the IPv6 member of an IPv4 socket is the mapped address.
  const address = four === '0.0.0.0' && six !== undefined ? plainAddress(six) : four;
  return { address, port: Number(port) };
}

/** An IPv4 address that an IPv6 socket holds, in its own form. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
