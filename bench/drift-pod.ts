// A guarded pod whose rule is taken away again and again, and the checker that puts it back.
import { performance } from 'node:perf_hooks';
import { CHAIN, RULE } from '../lib/netfilter/drop-rule.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import { Namespace } from '../test/harness/netns/namespaces.ts';
import { type Backend, CHECK, INSTALL, prepare } from './bench-pod.ts';
import type { Command, Way } from './drift-ways.ts';
import { EventLines } from './event-lines.ts';

export interface DriftPod {
  /** Loses the rule one way: milliseconds until it was back, or undefined where it was not within `limit`. */
  lose(way: Way, family: Family, limit: number): Promise<number | undefined>;
  stop(): Promise<void>;
}

/**
 * A pod with Istio's rules, our rule, and a running checker that has seen them.
 * @param interval seconds between the checker's looks
 * @param lockFile a lock of this pod's own for iptables-legacy, as a pod has: the machine's is everybody's
 */
export async function startDriftPod(backend: Backend, interval: number, lockFile: string): Promise<DriftPod> {
  const pod = await new Namespace(`drift-${backend}`).add();
  const env = { ...process.env, XTABLES_LOCKFILE: lockFile };
  const must = ({ program, args, input = '' }: Command) => pod.must(program, args, { env, input });
  await prepare(pod, `istio-${backend}`);
  await must({ program: process.execPath, args: [INSTALL] });
  const checker = pod.start(process.execPath, [CHECK, '--interval', String(interval)], { env });
  const events = new EventLines(checker);
  await checker.saw(/"event":"ready"/);

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
        // The next loss needs a rule to lose.
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
