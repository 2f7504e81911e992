// Makes packets without a connection INVALID, and counts arrivals and answers.
import { type ChildProcess, spawn } from 'node:child_process';
import { OWN_PROBES, PROBES, STRAY_PROBES } from './probes.ts';

const portsOf = (probes: typeof PROBES) => probes.map(({ packet }) => packet.destinationPort);
const PORTS = portsOf(PROBES);
const STRAY_PORTS = portsOf(STRAY_PROBES);
const OWN_PORTS = portsOf(OWN_PROBES);

/**
 * A connect() whose SYN becomes a SYN/ACK: without a connection that is INVALID to conntrack, and a listening socket
 * answers it with a reset. On lo a packet keeps its connection from OUTPUT on, so that it must be changed before
 * conntrack sees it there (-200).
 */
export const SHAPER = `table inet shaper {
  chain output {
    type filter hook output priority -450;
    tcp dport ${STRAY_PORTS[0]}-${STRAY_PORTS.at(-1)} tcp flags & (syn | ack) == syn tcp flags set syn | ack
  }
}
`;

const counters = (kind: string) => PORTS.map((port) => `  counter ${kind}${port} {}`).join('\n');

/**
 * Counts arrivals before everything else at ingress, those that conntrack will see, and answers before everything else in output: nothing but answers
 * leaves from the ports of the probes. Answers of established connections go no further: on lo they would pass the
 * random rules too, and a reset that these send in answer would end the connection.
 */
const COUNTERS = `table netdev observer {
${counters('arrived')}
  chain arrivals {
    type filter hook ingress devices = { eth0, lo } priority -500;
${PORTS.map((port) => `    tcp dport ${port} counter name arrived${port}`).join('\n')}
  }
}
table inet observer {
${counters('reset')}
${counters('acknowledged')}
${counters('tracked')}
  chain tracked {
    type filter hook prerouting priority -201;
${PORTS.map((port) => `    tcp dport ${port} ct state != untracked counter name tracked${port}`).join('\n')}
  }
  chain answers {
    type filter hook output priority -500;
${PORTS.map((port) => `    tcp sport ${port} tcp flags rst counter name reset${port}`).join('\n')}
${PORTS.map((port) => `    tcp sport ${port} tcp flags ! rst counter name acknowledged${port}`).join('\n')}
    tcp sport ${OWN_PORTS[0]}-${OWN_PORTS.at(-1)} drop
  }
}
`;

export interface Counted {
  arrived: number;
  reset: number;
  /** Answers other than resets. */
  acknowledged: number;
  /** Arrivals that conntrack sees. */
  tracked: number;
}

/** One nft process that answers many questions: on an emulated machine, starting one for each takes longest of all. */
export class Observer {
  private readonly nft: ChildProcess;
  private readonly timeout: number;
  private text = '';

  /** @param env of the nft, 1.0.0 or later, @param timeout milliseconds for an answer */
  constructor(env: NodeJS.ProcessEnv, timeout: number) {
    this.timeout = timeout;
    this.nft = spawn('nft', ['-j', '-i'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.nft.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
  }

  /** Empties nftables and begins to count afresh. */
  async reset(): Promise<void> {
    await this.ask(`flush ruleset\n${SHAPER}${COUNTERS}`);
  }

  /** Begins to count afresh, and leaves the ruleset that is there. */
  async restart(): Promise<void> {
    const tables = ['inet shaper', 'netdev observer', 'inet observer'];
    const none = tables.map((table) => `table ${table} {}\ndelete table ${table}\n`).join('');
    await this.ask(`${none}${SHAPER}${COUNTERS}`);
  }

  /** What has been counted, by destination port of the probe. */
  async read(): Promise<Map<number, Counted>> {
    const { nftables } = JSON.parse(await this.ask('')) as {
      nftables: { counter?: { name: string; packets: number } }[];
    };
    const packets = (name: string) => nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
    const counted = (port: number): Counted => ({
      arrived: packets(`arrived${port}`),
      reset: packets(`reset${port}`),
      acknowledged: packets(`acknowledged${port}`),
      tracked: packets(`tracked${port}`),
    });
    return new Map(PORTS.map((port) => [port, counted(port)]));
  }

  end(): void {
    this.nft.stdin?.end();
  }

  /**
   * Has nft run `commands`, then list the counters, which it prints as one line. What it prints on standard error is
   * an error.
   */
  private ask(commands: string): Promise<string> {
    const { nft } = this;
    this.text = '';
    return new Promise((resolve, reject) => {
      const onText = () => this.text.endsWith('\n') && settle(() => resolve(this.text));
      const onTrouble = (why: unknown) => settle(() => reject(new Error(`nft: ${why}`)));
      const timer = setTimeout(onTrouble, this.timeout, `no answer to ${commands}`);
      const settle = (how: () => void) => {
        clearTimeout(timer);
        nft.stdout?.off('data', onText);
        nft.stderr?.off('data', onTrouble);
        nft.off('exit', onTrouble);
        how();
      };
      nft.stdout?.on('data', onText);
      nft.stderr?.on('data', onTrouble);
      nft.on('exit', onTrouble);
      // A command is a line.
      nft.stdin?.write(`${commands.replace(/\n/g, ';')}\nlist counters\n`);
    });
  }
}
