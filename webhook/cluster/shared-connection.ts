// One connection to the API server for the requests that follow one another.
import type { RequestContext } from '@kubernetes/client-node';

type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>;

/** Milliseconds. Credentials and authority may be replaced: a new connection is made by what they are then. */
const CONNECTION_MS = 60_000;

/**
 * The library connects anew for each request, and leaves it to the server to close what it connected: a list of a
 * hundred pages took 20 MB for that.
 * @param now milliseconds, from any beginning
 */
export function shareConnection(now = () => performance.now()) {
  let shared: { dispatcher: Dispatcher; until: number } | undefined;
  return {
    /** Gives a request the connection of those before it, or theirs its own. */
    use(context: RequestContext): void {
      const own = context.getDispatcher();
      if (own === undefined) return;
      if (shared === undefined || now() > shared.until) shared = { dispatcher: own, until: now() + CONNECTION_MS };
      context.setDispatcher(shared.dispatcher);
    },
    /** The next request connects anew. */
    forget(): void {
      shared = undefined;
    },
  };
}
