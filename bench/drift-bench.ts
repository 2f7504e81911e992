// Drift: whether a running checker finds and repairs every loss of the rule, and how soon.
//
// The time is from the end of the command that lost the rule to the arrival of the checker's log line `repaired`,
// which it writes after it has read the ruleset back. iptables-save then has to show the rule at position 1.
import { setTimeout as wait } from 'node:timers/promises';
import type { Backend } from '../lib/netfilter/model.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import type { Tell } from '../test/harness/progress-line.ts';
import { type DriftPod, startDriftPod, type WayToLose, waysToLose } from './drift-pod.ts';
import { type Figure, makeFigure } from './figure.ts';
import { median } from './samples.ts';

/** Losses of each backend, as many each way. */
const LOSSES = 100;
/** Milliseconds to wait for one repair: the schedule finds at 10 s what events did not. */
const LIMIT = 15_000;
/** Milliseconds from a repair to the next loss, so that no check is running or delayed. */
const REST = 200;
const DEFAULT_INTERVAL = 10;

/** @param folder for lock files; the caller removes it. On an interruption the caller ends the programs. */
export async function benchDrift(tell: Tell, folder: string): Promise<Figure[]> {
  const nft = await nftLosses(tell, folder);
  const legacy = await legacyLosses(tell, folder, 1, LOSSES);
  return [
    ...describeDrift('drift nft', nft, { median: 100 }),
    ...describeDrift('drift legacy, schedule 1 s', legacy, { schedule: 1000 }),
  ];
}

/** One loss each way at the default schedule: 10 s of waiting. */
export async function benchDriftAtDefault(tell: Tell, folder: string): Promise<Figure[]> {
  const losses = await legacyLosses(tell, folder, DEFAULT_INTERVAL, waysOf('legacy', 0).length);
  return describeDrift(`drift legacy, schedule ${DEFAULT_INTERVAL} s`, losses, { schedule: DEFAULT_INTERVAL * 1000 });
}

/** IPv4 and IPv6 in turn. */
function familyOf(round: number): Family {
  return round % 2 === 0 ? 'ipv4' : 'ipv6';
}

function waysOf(backend: Backend, round: number): WayToLose[] {
  return waysToLose(backend, familyOf(round));
}

async function loseOnce(pod: DriftPod, way: WayToLose, round: number): Promise<Loss> {
  return { way: way.name, milliseconds: await pod.lose(way, familyOf(round), LIMIT) };
}

/** One pod, one way after the other, and nothing else beside: these times are short. */
async function nftLosses(tell: Tell, folder: string): Promise<Loss[]> {
  const pod = await startDriftPod('nft', DEFAULT_INTERVAL, `${folder}/nft.lock`);
  const losses: Loss[] = [];
  for (let round = 0; losses.length < LOSSES; round++) {
    for (const way of waysOf('nft', round)) {
      tell(`drift nft: loss ${losses.length + 1} of ${LOSSES}`);
      await wait(REST);
      losses.push(await loseOnce(pod, way, round));
    }
  }
  await pod.stop();
  return losses;
}

/** A pod for each way, side by side: what is measured is mostly waiting for the schedule. */
async function legacyLosses(tell: Tell, folder: string, interval: number, count: number): Promise<Loss[]> {
  const indexes = waysOf('legacy', 0).map((_, index) => index);
  let done = 0;
  const perWay = indexes.map(async (index) => {
    const pod = await startDriftPod('legacy', interval, `${folder}/legacy-${interval}-${index}.lock`);
    const losses: Loss[] = [];
    for (let round = 0; round < count / indexes.length; round++) {
      const way = waysOf('legacy', round)[index];
      if (!way) break;
      await wait(phase(round) * Math.min(interval, 1) * 1000);
      losses.push(await loseOnce(pod, way, round));
      done++;
      tell(`drift legacy, schedule ${interval} s: ${done} of ${count}`);
    }
    await pod.stop();
    return losses;
  });
  return (await Promise.all(perWay)).flat();
}

/** Spreads the losses evenly over the schedule: multiples of the golden ratio, from 0 up to 1. */
function phase(round: number): number {
  return (round * 0.618033988749895) % 1;
}

export interface Loss {
  way: string;
  /** From the loss to the repair; undefined where it was not repaired. */
  milliseconds: number | undefined;
}

/** Milliseconds that a check and a repair may take beyond the schedule that they wait for. */
const MARGIN = 500;

/**
 * @param goal the greatest median, or the schedule within which every loss is to be repaired, in milliseconds
 * @returns how many were repaired, the time that the goal is about, and the median of each way
 */
export function describeDrift(name: string, losses: Loss[], goal: { median: number } | { schedule: number }): Figure[] {
  const repaired = makeFigure({
    name: `${name}, repaired`,
    value: times(losses).length,
    unit: `of ${losses.length}`,
    reference: losses.length,
    goal: 'ratio >= 1',
  });
  const ways = [...new Set(losses.map(({ way }) => way))];
  const perWay = ways.flatMap((way) => {
    const some = times(losses.filter((loss) => loss.way === way));
    return some.length === 0 ? [] : [makeFigure({ name: `${name}, ${way}`, value: median(some), unit: 'ms median' })];
  });
  return [repaired, ...judgeTimes(name, times(losses), goal), ...perWay];
}

function judgeTimes(name: string, all: number[], goal: { median: number } | { schedule: number }): Figure[] {
  if (all.length === 0) return [];
  if ('median' in goal) {
    const [value, limit] = [median(all), `value <= ${goal.median}` as const];
    return [
      makeFigure({ name: `${name}, median`, value, unit: 'ms', goal: limit }),
      makeFigure({ name: `${name}, longest`, value: Math.max(...all), unit: 'ms' }),
    ];
  }
  const limit = `value <= ${goal.schedule + MARGIN}` as const;
  return [
    makeFigure({ name: `${name}, median`, value: median(all), unit: 'ms' }),
    makeFigure({
      name: `${name}, longest`,
      value: Math.max(...all),
      unit: 'ms',
      reference: goal.schedule,
      goal: limit,
    }),
  ];
}

function times(losses: Loss[]): number[] {
  return losses.flatMap(({ milliseconds }) => (milliseconds === undefined ? [] : [milliseconds]));
}
