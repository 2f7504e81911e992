// Segments that are moved ahead of where they belong, on their way to a pod, by an offset that is over the pod's
// windows.
import type { ProgramRunner } from '../netns/stray-segments.ts';

export interface MovedSegments {
  /** Which segments that leave the sender, as nft's matches. */
  which: string;
  /** Bytes that they are moved by: a power of two. */
  offset: number;
  /** One of as many is moved. */
  every: number;
}

/** Of the sender's chain: after NAT (100), where addresses and ports are as they arrive. */
const PRIORITY = 150;

function tableOf({ which, offset, every }: MovedSegments): string {
  return `table inet moved {
  counter segments {}
  chain out {
    type filter hook postrouting priority ${PRIORITY};
    ${which} meta length > 1000 numgen inc mod ${every} == ${every - 1} counter name segments goto move
  }
  chain move {
    ${additionOf(offset).join('\n    ')}
  }
}
`;
}

/**
 * nft cannot add. A power of two is added by inverting its bit, and the bits above it as far as they carry: up to the
 * first that is 0.
 */
function additionOf(offset: number): string[] {
  const rules: string[] = [];
  for (let bit = offset; bit < 2 ** 32; bit *= 2) {
    rules.push(`tcp sequence & ${bit} == 0 tcp sequence set tcp sequence xor ${bit * 2 - offset} accept`);
  }
  return [...rules, `tcp sequence set tcp sequence xor ${2 ** 32 - offset} accept`];
}

/** Runs `work` while segments that leave the sender are moved. @returns its result, and how many were moved */
export async function withMovedSegments<T>(
  sender: ProgramRunner,
  segments: MovedSegments,
  work: () => Promise<T>,
): Promise<{ result: T; moved: number }> {
  await sender.must('nft', ['-f', '-'], { input: tableOf(segments) });
  try {
    const result = await work();
    const printed = await sender.must('nft', ['-j', 'list', 'counter', 'inet', 'moved', 'segments']);
    const { nftables } = JSON.parse(printed) as { nftables: { counter?: { packets: number } }[] };
    return { result, moved: nftables.find(({ counter }) => counter)?.counter?.packets ?? 0 };
  } finally {
    await sender.must('nft', ['delete', 'table', 'inet', 'moved']);
  }
}

/**
 * Limits the windows of a pod's sockets, those that are open included, to the bytes that one socket may hold. A segment
 * that is moved within the window is kept by the receiver, which corrupts the stream later: that would be the test's own
 * doing. Windows that are open already do not shrink.
 */
export async function limitWindows(pod: ProgramRunner, bytes: number): Promise<void> {
  await pod.must('sysctl', ['-q', '-w', `net.ipv4.tcp_rmem=4096 131072 ${bytes}`]);
}

/** Of the sidecar's connections to the pod, and of those that go from it. */
const PROXIED = ['(', 'sport', '=', ':15006', 'or', 'dport', '=', ':9000', ')'];

/** The largest window that the sidecar's connections of the pod have, in bytes. */
export async function largestWindow(pod: ProgramRunner): Promise<number> {
  const printed = await pod.must('ss', ['-Htin', 'state', 'established', ...PROXIED]);
  return Math.max(0, ...[...printed.matchAll(/rcv_ssthresh:(\d+)/g)].map(([, bytes]) => Number(bytes)));
}
