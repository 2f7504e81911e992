// The only file that talks to the API server. Loaded only where a cluster is configured: the client is large.
import { CoreV1Api, KubeConfig, ListWatch, type V1Namespace, Watch } from '@kubernetes/client-node';
import { errors } from './errors.ts';
import type { NamespaceStore } from './namespaces.ts';
import { shortText } from './raw-json.ts';

/** Value of the kubeconfig option that stands for the service account of the pod. */
export const IN_CLUSTER = 'in-cluster';

export interface NamespaceWatchOptions {
  /** Path of a kubeconfig file, or IN_CLUSTER. */
  kubeconfig: string;
  store: NamespaceStore;
  log: { info(details: object, message: string): void; warn(details: object, message: string): void };
  /** Milliseconds to wait after that many failures in a row. */
  retryDelay(failures: number): number;
}

export interface NamespaceWatch {
  /** True once the namespaces have been listed. */
  synced(): boolean;
  stop(): Promise<void>;
}

/**
 * Keeps the store equal to the cluster's namespaces: lists, then watches; after an error it begins again, with
 * backoff, for ever. What was known stays known meanwhile.
 * @returns at once, before the first list has come
 * @throws CodedError CLUSTER_CONFIGURATION
 */
export function watchNamespaces({ kubeconfig, store, log, retryDelay }: NamespaceWatchOptions): NamespaceWatch {
  const config = loadConfig(kubeconfig);
  const api = config.makeApiClient(CoreV1Api);
  const state = { synced: false, stopped: false, failures: 0, timer: undefined as NodeJS.Timeout | undefined };
  const list = async () => {
    const namespaces = await api.listNamespace();
    log.info({ namespaces: namespaces.items.length }, 'listed the namespaces');
    state.synced = true;
    return namespaces;
  };
  const opened = (request: AbortController) => {
    state.failures = 0;
    // The informer's own stop does not reach a watch that is still being opened.
    if (state.stopped) request.abort();
  };
  const informer = new ListWatch<V1Namespace>('/api/v1/namespaces', new SteadyWatch(config, opened), list, false);
  const put = ({ metadata }: V1Namespace) => metadata?.name && store.put(metadata.name, metadata.labels ?? {});
  informer.on('add', put);
  informer.on('update', put);
  informer.on('delete', ({ metadata }) => metadata?.name && store.remove(metadata.name));
  informer.on('error', (error: unknown) => {
    if (state.stopped) return;
    state.failures += 1;
    const retryMs = retryDelay(state.failures);
    log.warn({ reason: reasonOf(error), failures: state.failures, retryMs }, 'the watch on namespaces broke off');
    state.timer = setTimeout(() => void informer.start(), retryMs);
  });
  void informer.start();
  const stop = async () => {
    state.stopped = true;
    clearTimeout(state.timer);
    await informer.stop();
  };
  return { synced: () => state.synced, stop };
}

function loadConfig(kubeconfig: string): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === IN_CLUSTER) config.loadFromCluster();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    throw errors.CLUSTER_CONFIGURATION(kubeconfig, reasonOf(error));
  }
  if (!config.getCurrentCluster()) throw errors.CLUSTER_CONFIGURATION(kubeconfig, 'it names no current cluster');
  return config;
}

/**
 * The library's watch rejects where credentials cannot be read, and its informer does not await the watch that it
 * begins after another: the process would end. Here each failure goes to the informer's error event.
 */
class SteadyWatch extends Watch {
  readonly #opened: (request: AbortController) => void;

  /** @param opened called each time that the server has begun to answer a watch */
  constructor(config: KubeConfig, opened: (request: AbortController) => void) {
    super(config);
    this.#opened = opened;
  }

  override async watch(...[path, query, callback, done]: Parameters<Watch['watch']>): Promise<AbortController> {
    let over = false;
    const end = (error: unknown) => {
      over = true;
      done(error);
    };
    try {
      const controller = await super.watch(path, query, callback, end);
      if (!over) this.#opened(controller);
      return controller;
    } catch (error) {
      done(error);
      return new AbortController();
    }
  }
}

/** One line; an error of the client holds whole response bodies and headers. */
function reasonOf(error: unknown): string {
  return shortText(error instanceof Error ? error.message : String(error), 200).replaceAll('\n', ' ');
}
