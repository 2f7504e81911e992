// Compares the evaluator's verdicts on the ruleset of the pod's namespace, in which this runs, with what the kernel does to
// the packets of probes.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { evaluate } from '../../../lib/netfilter/evaluator.ts';
import type { Ruleset } from '../../../lib/netfilter/model.ts';
import { LOOPBACK } from '../../../lib/netfilter/packet.ts';
import { judge, judgePass, type PassVerdict, type Verdict } from '../../../lib/netfilter/verdict.ts';
import { patient } from '../netns/processes.ts';
import { closeAll, sendSyn } from './connector.ts';
import { type Counted, Observer } from './observer.ts';
import { type OwnConnections, openOwnConnections } from './own-connections.ts';
import { PROBES, type Probe, STRAY_PROBES } from './probes.ts';

/**
 * One packet: the evaluator's verdict and what the kernel did. Of a packet with a socket of its own the question is
 * whether it reaches it.
 */
export interface ProbeComparison {
  packet: Probe['packet'];
  verdict: Verdict['verdict'] | PassVerdict['holds'];
  reason: string;
  /** What conntrack does not see, as the verdict told, counts as dropped: such packets are not INVALID. */
  kernel: 'dropped' | 'not dropped' | 'yes' | 'no' | 'lost';
}

export interface Judged extends Pick<ProbeComparison, 'packet' | 'verdict' | 'reason'> {
  /** A rule may take its whole flow out of conntrack. */
  untracked: boolean;
}

/** Milliseconds for an answer of a program. */
export const TIMEOUT = patient(10_000);
/** Milliseconds between two readings of the counters: many times what a softirq takes. */
const STEP = patient(5);
/** Milliseconds that a packet, or an answer that is expected, is waited for. */
const PATIENCE = patient(3000);
const CONNECTOR = fileURLToPath(new URL('connector.ts', import.meta.url));

/** Sends the probes, and tells what became of them. Its own connections are opened before any ruleset. */
export class KernelComparer {
  readonly observer: Observer;
  private readonly gateway;
  private readonly own: OwnConnections;
  private readonly listeners;

  /** @param env of the nft that observes: an older one than the one that wrote a rule may crash on it */
  static async start(gatewayName: string, env: NodeJS.ProcessEnv): Promise<KernelComparer> {
    const enter = [`--net=/run/netns/${gatewayName}`, '--'];
    return new KernelComparer(
      enter,
      new Observer(env, TIMEOUT),
      await openOwnConnections(['nsenter', ...enter], TIMEOUT),
    );
  }

  private constructor(enter: string[], observer: Observer, own: OwnConnections) {
    this.observer = observer;
    this.own = own;
    this.gateway = spawn('nsenter', [...enter, process.execPath, CONNECTOR], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.listeners = STRAY_PROBES.map(({ packet }) => {
      const host = packet.socket === 'listener' ? packet.destination : undefined;
      return createServer((socket) => socket.destroy()).listen({ host, port: packet.destinationPort });
    });
  }

  /** @param judged the verdict on each probe, for the ruleset that is there */
  async compare(judged: Judged[]): Promise<ProbeComparison[]> {
    const kernel = await this.observe(judged);
    await this.closeConnections();
    return judged.map(({ untracked: _, ...told }) => ({
      ...told,
      kernel: kernel.get(told.packet.destinationPort) ?? ('lost' as const),
    }));
  }

  end(): void {
    this.gateway.stdin.end();
    this.own.end();
    this.observer.end();
    for (const listener of this.listeners) listener.close();
  }

  private send({ from, host, localPort, packet }: Probe): void {
    if (from === 'pod') sendSyn(host, packet.destinationPort, localPort);
    else this.gateway.stdin.write(`${host} ${packet.destinationPort} ${localPort}\n`);
  }

  /**
   * Until none is left: a SYN that is sent again would be taken for one of the next ruleset's, which is not yet whole.
   */
  private async closeConnections(): Promise<void> {
    const closed = once(this.gateway.stdout, 'data', { signal: AbortSignal.timeout(TIMEOUT) });
    closeAll();
    this.gateway.stdin.write('close\n');
    await closed;
  }

  /**
   * What the kernel did with each probe. A packet passes all hooks, and is answered, within the softirq that counted its
   * arrival; the counters are read once more milliseconds after the arrival was seen. Answers that the verdict expects are
   * waited for longer, so that a slow machine can at worst hide a wrong "dropped"; it cannot cause a disagreement.
   */
  private async observe(judged: Judged[]): Promise<Map<number, ProbeComparison['kernel']>> {
    const portsOf = (some: Judged[]) => new Set(some.map(({ packet }) => packet.destinationPort));
    const expected = portsOf(judged.filter(({ verdict }) => verdict === 'not dropped' || verdict === 'yes'));
    const untracked = portsOf(judged.filter((told) => told.verdict === 'dropped' && told.untracked));
    for (const probe of STRAY_PROBES) this.send(probe);
    this.own.send();
    const deadline = Date.now() + PATIENCE;
    for (let arrived = false; ; ) {
      const counts = await this.observer.read();
      const answered = [...counts].every(([port, counted]) => isAnswered(counted) || !expected.has(port));
      if ((arrived && answered) || Date.now() > deadline) {
        return new Map(
          PROBES.map(({ packet }) => {
            const counted = counts.get(packet.destinationPort);
            const isUntracked = untracked.has(packet.destinationPort) && counted?.tracked === 0;
            return [packet.destinationPort, isUntracked ? 'dropped' : outcomeOf(packet, counted)];
          }),
        );
      }
      arrived = [...counts.values()].every((counted) => counted.arrived > 0);
      await wait(STEP);
    }
  }
}

function isAnswered({ reset, acknowledged }: Counted): boolean {
  return reset + acknowledged > 0;
}

/** No reset comes from the socket of an established connection: a rule answers in its place. */
function outcomeOf({ socket }: Probe['packet'], counted: Counted | undefined): ProbeComparison['kernel'] {
  if (!counted || counted.arrived === 0) return 'lost';
  if (socket === 'own') return counted.acknowledged > 0 && counted.reset === 0 ? 'yes' : 'no';
  return counted.reset > 0 ? 'not dropped' : 'dropped';
}

/** The verdict on one probe. */
export function judgeProbe(ruleset: Ruleset, { packet }: Probe): Judged {
  if (packet.socket === 'own') {
    const told = judgePass(ruleset, packet);
    return { packet, untracked: false, verdict: told.holds, reason: told.holds === 'yes' ? '' : told.reason };
  }
  const told = judge(ruleset, packet);
  const untracked = evaluate(ruleset, packet).some(({ path }) => path?.untrackedFlow && packet.iif !== LOOPBACK);
  // What the checker judges: all packets that arrive there.
  const { ctstate, family, iif, socket, destination } = packet;
  const all = judge(ruleset, { ctstate, family, iif, socket, localAddresses: [destination] });
  if (told.verdict === 'dropped') return { packet, untracked, verdict: 'dropped', reason: '' };
  if (all.verdict === 'dropped') return { packet, untracked, verdict: 'dropped', reason: 'as all on its interface' };
  return { packet, untracked, verdict: told.verdict, reason: told.reason };
}
