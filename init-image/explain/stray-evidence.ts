// Which connections had stray segments, and whether a checker rescues them.
import { get } from 'node:http';
import { type NotedConnection, readNotes } from '../../lib/checker/noted-connections.ts';
import { CodedError } from '../../lib/errors.ts';
import { hasListener } from '../../lib/netfilter/local-sockets.ts';
import { toItem } from '../../lib/netfilter/nft-expression.ts';

export interface StrayEvidence {
  /** Connections with a stray segment in the last minute; null where nothing notes them. */
  connections: NotedConnection[] | null;
  /** What this pod's checker reports; null where none answers. */
  rescue: { state: string; rescued: number; failed: number; persistent: number } | null;
}

const LIMIT = 10_000;
const MAX_BODY = 1_000_000;

/**
 * @param port of the checker
 * @param timeout milliseconds for nft
 * @returns what can be had of it. Throws no CodedError.
 */
export async function readStrayEvidence(port: number, timeout: number): Promise<StrayEvidence> {
  const [notes, rescue] = await Promise.all([
    readNotes(timeout).catch((error: unknown) => {
      if (error instanceof CodedError) return undefined;
      throw error;
    }),
    askChecker(port),
  ]);
  return { connections: notes?.connections ?? null, rescue };
}

/** A checker that is not guarded answers with status 503, and the same report. */
function askChecker(port: number): Promise<StrayEvidence['rescue']> {
  // The kernel would answer with a reset, which counts as one that the pod sent.
  if (!hasListener(port)) return Promise.resolve(null);
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(LIMIT);
    const request = get({ host: '127.0.0.1', port, path: '/selfcheck', agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
        if (body.length > MAX_BODY) request.destroy();
      });
      response.on('error', () => resolve(null));
      response.on('close', () => resolve(parseReport(body)));
    });
    request.on('error', () => resolve(null));
  });
}

/** @param text the checker's report (docs/selfcheck.md); another program may listen on the port */
export function parseReport(text: string): StrayEvidence['rescue'] {
  try {
    const strays = toItem(toItem(JSON.parse(text))['strays']);
    const { rescue, rescued, failed, persistent } = strays;
    const numbers = [rescued, failed, persistent].every((value) => typeof value === 'number');
    if (typeof rescue !== 'string' || !numbers) return null;
    return { state: rescue, rescued: Number(rescued), failed: Number(failed), persistent: Number(persistent) };
  } catch {
    return null;
  }
}
