// Connects to the cluster of the person's kubeconfig. Loaded only where a command asks for it: the library is large.
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { clientFor, loadOperatorConfig } from '../lib/cluster/cluster-client.ts';
import type { CliClient } from './cli-command.ts';
import type { CommonValues } from './common-options.ts';

/**
 * As kubectl finds it: --kubeconfig or KUBECONFIG, which may be a list, or else ~/.kube/config.
 * @throws CodedError CLUSTER_CONFIGURATION
 */
export function connectCli({ kubeconfig, context }: Pick<CommonValues, 'kubeconfig' | 'context'>): CliClient {
  const paths = kubeconfig.split(delimiter).filter((path) => path !== '');
  const list = paths.length > 0 ? paths.join(delimiter) : join(homedir(), '.kube', 'config');
  const config = loadOperatorConfig(list, context);
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace || 'default';
  return { ...clientFor(config), config, namespace };
}
