// Node mode: how soon the agent repairs a pod, and how soon it guards pods that run already.
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { CHAIN, RULE, TABLE } from '../../lib/netfilter/drop-rule.ts';
import { PodPrograms } from '../../test/harness/cluster/node-side.ts';
import type { Tell } from '../../test/harness/progress-line.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import { type Figure, makeFigure } from '../figure.ts';
import { median, quantile } from '../samples.ts';
import type { Api } from './bench-api.ts';
import { addNamespaces } from './bench-pods.ts';
import { clearAway, fillNamespace, NODE_MODE_NAMESPACES, saysGuarded, untilGuarded } from './node-mode-setup.ts';

const LOSSES = 20;
/** Milliseconds from a repair to the next loss, so that no check is running or delayed. */
const REST = 1000;
const LIMIT = 15_000;
const RUNNING = 30;

/**
 * From the kernel's report of the loss to that of the rule's return, both as nft monitor prints them here: the agent's own
 * clock has no part in it.
 */
export async function benchAgentRepair(api: Api, tell: Tell): Promise<Figure[]> {
  const { guarded } = NODE_MODE_NAMESPACES;
  const [first] = await fillNamespace(api, guarded, 1, saysGuarded);
  const pod = new PodPrograms(guarded, first.metadata.name);
  const seen = new RuleChanges();
  const monitor = await pod.start('nft', ['monitor']);
  monitor.child.stdout?.on('data', (text: string) => seen.read(text));
  await wait(REST);
  const times: number[] = [];
  for (let loss = 0; loss < LOSSES; loss++) {
    tell(`node mode: drift ${loss + 1} of ${LOSSES}`);
    seen.forget();
    await pod.must('iptables-nft', ['-t', TABLE, '-D', CHAIN, ...RULE.tcp.split(' ')]);
    const took = await waitUntil(() => seen.took(), LIMIT, undefined, 20);
    if (took === undefined) throw new Error(`the rule was not back within ${LIMIT / 1000} s:\n${monitor.output}`);
    times.push(took);
    await wait(REST);
  }
  await monitor.stop();
  const name = 'node mode: drift to repair';
  return [
    makeFigure({ name: `${name}, median of ${LOSSES}`, value: median(times), unit: 'ms', goal: 'value <= 150' }),
    makeFigure({ name: `${name}, greatest of ${LOSSES}`, value: quantile(times, 1), unit: 'ms' }),
  ];
}

/** When nft monitor has told of our rule. */
export class RuleChanges {
  private rest = '';
  private lost: number | undefined;
  private back: number | undefined;

  read(text: string, now = performance.now()): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, what] = line.match(/^(add|insert|delete) rule ip mangle PREROUTING /) ?? [];
      if (what === 'delete') this.lost ??= now;
      else if (what !== undefined && this.lost !== undefined) this.back ??= now;
    }
  }

  forget(): void {
    this.lost = undefined;
    this.back = undefined;
  }

  /** Milliseconds; undefined while it is not back. */
  took(): number | undefined {
    return this.lost === undefined || this.back === undefined ? undefined : this.back - this.lost;
  }
}

export async function benchLabel(api: Api, tell: Tell): Promise<Figure[]> {
  const { labelled } = NODE_MODE_NAMESPACES;
  await addNamespaces(api, [labelled]);
  tell(`node mode: starting ${RUNNING} pods without a label`);
  await fillNamespace(api, labelled, RUNNING, (pod) => !saysGuarded(pod));
  tell('node mode: label to guarded');
  const label = { metadata: { labels: { [OPT_IN_LABEL]: 'node' } } };
  const took = await untilGuarded(api, labelled, RUNNING, () =>
    api.ask('PATCH', `/api/v1/namespaces/${labelled}`, label),
  );
  await clearAway(api, [labelled]);
  const name = `node mode: label to guarded, ${RUNNING} running pods`;
  return [makeFigure({ name, value: took / 1000, unit: 's', goal: 'value <= 5' })];
}
