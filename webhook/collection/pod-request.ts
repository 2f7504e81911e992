// One question to a pod. Its address is what the pod's status says, and anybody may answer there.
import { type ClientRequest, get } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** answered: with a report. no-answer: not within the time limit. invalid: with something else, or too much. */
export type AskResult = 'answered' | 'no-answer' | 'invalid';

/** What came back: the body of a page, which nobody has looked at. */
export type PodAnswer = { result: 'answered'; text: string } | { result: 'no-answer' | 'invalid' };

export interface PodPage {
  /** An address. */
  host: string;
  port: number;
  path: string;
  /** Bytes of the longest body. */
  limit: number;
}

const TIME_LIMIT = 2000;
const HEAD_LIMIT = 4096;

/**
 * No pod has such an address: whoever writes one into a pod's status wants the webhook to ask somebody else. A list for each
 * version: one for both takes an IPv4 address for the IPv6 address that stands for it.
 */
const NO_POD = { 4: new BlockList(), 6: new BlockList() };
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  NO_POD[4].addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of [
  ['::', 127],
  ['::ffff:0:0', 96],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  NO_POD[6].addSubnet(net, prefix, 'ipv6');

/** Whether a pod may have the address. */
export function isPodAddress(ip: string): boolean {
  const version = isIP(ip);
  if (version === 4) return !NO_POD[4].check(ip, 'ipv4');
  return version === 6 && !ip.includes('%') && !NO_POD[6].check(ip, 'ipv6');
}

/** Never rejects. Follows no redirect. @param stop ends it early, without an answer */
export function askPod({ host, port, path, limit }: PodPage, stop: AbortSignal): Promise<PodAnswer> {
  return new Promise((resolve) => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(TIME_LIMIT)]);
    const headers = { accept: 'application/json', connection: 'close' };
    const options = { host, port, path, agent: false, headers, signal, maxHeaderSize: HEAD_LIMIT };
    const call: ClientRequest = get(options, (response) => {
      // A pod that is not guarded answers 503, with the same report.
      if (response.statusCode !== 200 && response.statusCode !== 503) return end({ result: 'invalid' });
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > limit) return end({ result: 'invalid' });
        chunks.push(chunk);
      });
      response.on('end', () => end({ result: 'answered', text: Buffer.concat(chunks).toString() }));
      response.on('error', () => end({ result: 'no-answer' }));
    });
    const end = (result: PodAnswer) => {
      resolve(result);
      call.destroy();
    };
    call.on('error', ({ code = '' }: NodeJS.ErrnoException) =>
      resolve({ result: code.startsWith('HPE_') ? 'invalid' : 'no-answer' }),
    );
    // An answer that wants another protocol (101) ends without an error.
    call.on('close', () => resolve({ result: 'no-answer' }));
  });
}
