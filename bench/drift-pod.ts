// A guarded pod whose rule is removed many times, by commands that other programs really run, and the checker that
// repairs it.
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { CHAIN, RULE, TABLE } from '../lib/netfilter/drop-rule.ts';
import type { Backend } from '../lib/netfilter/model.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import { NetworkNamespace } from '../test/harness/netns/network-namespaces.ts';
import type { Program } from '../test/harness/netns/processes.ts';
import { CHECK, INSTALL, prepare } from './bench-pod.ts';

export interface DriftPod {
  /** Loses the rule one way: milliseconds until it was back, or undefined where it was not within `limit`. */
  lose(way: WayToLose, family: Family, limit: number): Promise<number | undefined>;
  stop(): Promise<void>;
}

/**
 * A pod with Istio's rules, our rule, and a running checker that has seen them.
 * @param interval seconds between the checker's checks
 * @param lockFile a lock for iptables-legacy that only this pod uses, as a real pod has its own
 */
export async function startDriftPod(backend: Backend, interval: number, lockFile: string): Promise<DriftPod> {
  const pod = await new NetworkNamespace(`drift-${backend}`).add();
  const env = { ...process.env, XTABLES_LOCKFILE: lockFile };
  const must = ({ program, args, input = '' }: LossCommand) => pod.must(program, args, { env, input });
  await prepare(pod, `istio-${backend}`);
  await must({ program: process.execPath, args: [INSTALL] });
  const checker = pod.start(process.execPath, [CHECK, '--interval', String(interval)], { env });
  const events = new EventLines(checker);
  await checker.waitForOutput(/"event":"ready"/);

  const isFirst = async (family: Family) => {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save`;
    const saved = await must({ program, args: ['-t', 'mangle'] });
    return saved.split('\n').find((line) => line.startsWith(`-A ${CHAIN}`)) === `-A ${CHAIN} ${RULE.tcp}`;
  };

  return {
    async lose(way, family, limit) {
      const repaired = events.next('repaired', limit);
      await must(way.lose);
      const lost = performance.now();
      const at = await repaired;
      if (at === undefined || !(await isFirst(family))) {
        // The rule must be there for the next loss.
        await must({ program: process.execPath, args: [INSTALL] });
        return undefined;
      }
      if (way.tidy) await must(way.tidy);
      return at - lost;
    },
    async stop() {
      await checker.stop();
      await pod.remove();
    },
  };
}

export interface LossCommand {
  program: string;
  args: string[];
  input?: string;
}

export interface WayToLose {
  name: string;
  lose: LossCommand;
  /** Removes what is left behind, once the rule is back. */
  tidy?: LossCommand;
}

/** The ways that exist for a backend; a table of iptables-legacy cannot be deleted. */
export function waysToLose(backend: Backend, family: Family): WayToLose[] {
  const iptables = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`;
  const mangle = (...args: string[]): LossCommand => ({ program: iptables, args: ['-t', TABLE, ...args] });
  const accept = ['-p', 'tcp', '-j', 'ACCEPT'];
  const ways: WayToLose[] = [
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

export class EventLines {
  private readonly waiting = new Map<string, (at: number) => void>();

  constructor({ child }: Program) {
    if (!child.stdout) throw new Error('no output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { event } = JSON.parse(line) as { event: string };
      this.waiting.get(event)?.(performance.now());
    });
  }

  /**
   * The next line with this event; ask before what causes it.
   * @param limit milliseconds to wait
   * @returns when it arrived, as performance.now() tells it; undefined when the limit has passed
   */
  next(event: string, limit: number): Promise<number | undefined> {
    return new Promise((resolve) => {
      const done = (at?: number) => {
        clearTimeout(timer);
        this.waiting.delete(event);
        resolve(at);
      };
      const timer = setTimeout(done, limit);
      this.waiting.set(event, done);
    });
  }
}
