// From a stray segment to data that flows again, on connections that would hang: each has one segment half a window over.

import { addPair } from '../test/harness/netns/network-namespaces.ts';
import type { ChangedExchange } from '../test/harness/never-worse/changed-exchange.ts';
import { ExchangeObserver } from '../test/harness/never-worse/observe-exchanges.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { SIDECAR } from './bench-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { median } from './samples.ts';

const CONNECTIONS = 100;
/** At one time: few, as in a pod whose network is well but for single segments. */
const BATCH = 5;
const HALF_OVER = 65_160 + 30_000;

/** On an error or interruption the caller ends the programs, by stopAll and removeAll. */
export async function benchRescue(tell: Tell): Promise<Figure[]> {
  const pair = await addPair();
  const observer = await ExchangeObserver.start(pair);
  const checker = pair.pod.start(process.execPath, SIDECAR);
  await checker.waitForOutput(/"event":"ready"/);
  const seconds: number[] = [];
  let fine = 0;
  for (let first = 0; first < CONNECTIONS; first += BATCH) {
    tell(`rescue: ${first} of ${CONNECTIONS} connections`);
    const exchanges = Array.from({ length: BATCH }, (_, i) => changedExchange(first + i));
    for (const { fate, ms } of await observer.observe(exchanges)) {
      if (fate === 'fine') fine++;
      seconds.push(ms / 1000);
    }
  }
  await checker.stop();
  await pair.remove();
  return [
    makeFigure({
      name: 'rescue, connections that are fine',
      value: fine,
      unit: `of ${CONNECTIONS}`,
      goal: `value >= ${CONNECTIONS}`,
    }),
    makeFigure({
      name: 'rescue, stray segment to data (median)',
      value: median(seconds),
      unit: 's',
      goal: 'value <= 2',
    }),
    makeFigure({
      name: 'rescue, stray segment to data (longest)',
      value: Math.max(...seconds),
      unit: 's',
      goal: 'value <= 10',
    }),
  ];
}

function changedExchange(seed: number): ChangedExchange {
  const change = { sequence: HALF_OVER };
  return { seed, route: 'redirected', family: seed % 2 === 0 ? 'ipv4' : 'ipv6', script: 0, segment: 'request', change };
}
