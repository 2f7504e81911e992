// Names that complete a command line, from the kubeconfig and the cluster. A shell waits for them, so there is a limit.
import { objectAt, objectsAt, shortText } from '../../lib/json.ts';
import type { CliClient } from '../cli-command.ts';
import type { CompletionNames } from '../completion-names.ts';

const LIMIT_MS = 2000;
const MOST = '500';
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const CONTEXT = /^[\w.:/@-]+$/;

export function clusterNames(connect: () => Promise<CliClient>): CompletionNames {
  const listed = (path: (client: CliClient) => string) =>
    inTime(async () => {
      const client = await connect();
      const list = await client.get(path(client), { limit: MOST });
      const names = objectsAt(list, 'items').map((item) => shortText(objectAt(item, 'metadata')['name']));
      return names.filter((name) => NAME.test(name));
    });
  return {
    contexts: () =>
      inTime(async () =>
        (await connect()).config.contexts.map(({ name }) => name).filter((name) => CONTEXT.test(name)),
      ),
    namespaces: () => listed(() => '/api/v1/namespaces'),
    pods: (namespace) => listed((client) => `/api/v1/namespaces/${namespace || client.namespace}/pods`),
  };
}

async function inTime(ask: () => Promise<string[]>): Promise<string[]> {
  const late = new Promise<string[]>((resolve) => setTimeout(resolve, LIMIT_MS, []).unref());
  return Promise.race([ask().catch(() => []), late]);
}
