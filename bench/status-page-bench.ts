// The status page with ten thousand pods, and what it costs to ask their checkers, or the agents of their nodes.
import { fileURLToPath } from 'node:url';
import { must } from '../test/harness/netns/processes.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { WEBHOOK } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { NODE_FLAGS } from './webhook-bench.ts';

const SCRIPT = fileURLToPath(new URL('inside/many-guarded-pods.ts', import.meta.url));
const PODS = 10_000;
const NAMESPACES = 500;
const LIMIT = 400_000;
const MB = 1e6;
const KB = 1e3;

interface Printed {
  measured: Record<'disabled' | 'enabled' | 'agentsDisabled' | 'agents', { cpu: number; rss: number; asked: number }>;
  pages: Record<string, { firstByte: number; slowest: number; bytes: number }>;
}

/** @param folder for the logs; the caller removes it */
export async function benchStatusPage(tell: Tell, folder: string): Promise<Figure[]> {
  tell(`status page: ${PODS} pods, about four minutes`);
  const script = [process.execPath, SCRIPT, `${PODS}`, `${NAMESPACES}`, folder, WEBHOOK, ...NODE_FLAGS];
  const enter = 'ip link set lo up && ip route add local 10.77.0.0/16 dev lo && exec "$@"';
  const printed = await must('unshare', ['--net', 'sh', '-c', enter, 'sh', ...script], { limit: LIMIT });
  const { measured, pages } = JSON.parse(printed.trim().split('\n').at(-1) ?? '{}') as Printed;
  const { enabled, disabled, agents, agentsDisabled } = measured;
  const of = `with ${PODS} pods`;
  return [
    ...Object.entries(pages).flatMap(([path, { firstByte, slowest, bytes }]) => [
      makeFigure({
        name: `status page ${path} ${of}, first byte`,
        unit: 'ms',
        value: firstByte,
        goal: 'value <= 300',
      }),
      makeFigure({ name: `status page ${path} ${of}, slowest first byte`, unit: 'ms', value: slowest }),
      makeFigure({ name: `status page ${path} ${of}`, unit: 'KB', value: bytes / KB, goal: 'value <= 300' }),
    ]),
    makeFigure({ name: `checkers asked ${of}`, unit: 'per second', value: enabled.asked, goal: 'value <= 10' }),
    makeFigure({
      name: `CPU of collection ${of}`,
      unit: '% of a core',
      value: enabled.cpu - disabled.cpu,
      goal: 'value <= 1',
    }),
    makeFigure({
      name: `RSS with collection ${of}`,
      unit: 'MB',
      value: enabled.rss / MB,
      reference: disabled.rss / MB,
    }),
    makeFigure({ name: `node agents asked ${of} on 1000 nodes`, unit: 'per second', value: agents.asked }),
    makeFigure({
      name: `CPU of collection from node agents ${of} on 1000 nodes`,
      unit: '% of a core',
      value: agents.cpu - agentsDisabled.cpu,
      goal: 'value <= 1',
    }),
    makeFigure({
      name: `RSS with collection from node agents ${of} on 1000 nodes`,
      unit: 'MB',
      value: agents.rss / MB,
      reference: agentsDisabled.rss / MB,
    }),
  ];
}
