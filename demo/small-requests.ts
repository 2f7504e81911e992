// Small requests and answers over kept connections, of which one segment is moved: in a pod without the rule, in one
// with the rule alone, and in one with all that the webhook adds.

import { CHAIN, RULE, TABLE } from '../lib/netfilter/drop-rule.ts';
import { addPair, type Pair } from '../test/harness/netns/network-namespaces.ts';
import type { ChangedExchange } from '../test/harness/never-worse/changed-exchange.ts';
import { SCRIPTS } from '../test/harness/never-worse/exchange-scripts.ts';
import { ExchangeObserver } from '../test/harness/never-worse/observe-exchanges.ts';
import type { AdmittedPod } from './demo-admission.ts';
import { startOurs } from './demo-containers.ts';
import { type DemoConnection, type DemoKind, type DemoSetup, KINDS, SETUPS } from './outcome-table.ts';

/** A connection's first window, 64 KiB less a part of a segment, and half a window more. */
const NEAR = 65_160 + 30_000;
/** A quarter of the sequence space. */
const FAR = 2 ** 30;
/** 300 bytes are answered with 700, then 250 with 900, of which a segment is moved; then larger exchanges follow. */
const SCRIPT = SCRIPTS.findIndex(({ warmUp, changed }) => warmUp.length === 1 && changed[1] === 900);

/** The gateway's segment is moved: a part of a request to the pod, or of the answer to the pod's own request. */
const ROUTED = {
  upload: { route: 'redirected', segment: 'request' },
  download: { route: 'outbound', segment: 'answer' },
} as const;

/** `count` connections of each kind, of both families in turn. */
function makeExchanges(count: number): (ChangedExchange & { kind: DemoKind })[] {
  return KINDS.flatMap((kind) => {
    const where = ROUTED[kind.startsWith('upload') ? 'upload' : 'download'];
    const change = { sequence: kind.endsWith('near') ? NEAR : FAR };
    return Array.from({ length: count }, (_, i) => {
      const family = i % 2 === 0 ? ('ipv4' as const) : ('ipv6' as const);
      return { seed: i, kind, ...where, family, script: SCRIPT, change };
    });
  });
}

async function putSetup(pair: Pair, setup: DemoSetup, pod: AdmittedPod): Promise<void> {
  if (setup === 'rule alone') {
    for (const program of ['iptables-nft', 'ip6tables-nft']) {
      await pair.pod.must(program, ['-t', TABLE, '-I', CHAIN, ...RULE.tcp.split(' ')]);
    }
  }
  if (setup === 'whole cure') await startOurs(pair, pod, 'nft');
}

/** All connections of one pod, at the same time. */
async function observe(setup: DemoSetup, pod: AdmittedPod, count: number): Promise<DemoConnection[]> {
  const pair = await addPair();
  try {
    const observer = await ExchangeObserver.start(pair);
    await putSetup(pair, setup, pod);
    const exchanges = makeExchanges(count);
    const results = await observer.observe(exchanges);
    return exchanges.flatMap(({ kind }, i) => {
      const result = results[i];
      return result ? [{ setup, kind, fate: result.fate, ms: result.ms }] : [];
    });
  } finally {
    await pair.remove();
  }
}

/** The three pods at the same time: what hangs is waited for once. @param count connections of each kind */
export async function exchangeSmallRequests(pod: AdmittedPod, count: number): Promise<DemoConnection[]> {
  return (await Promise.all(SETUPS.map((setup) => observe(setup, pod, count)))).flat();
}
