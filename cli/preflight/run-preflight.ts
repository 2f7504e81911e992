// Asks the cluster, tries namespaces by dry runs, and judges.
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE } from '../../lib/contract.ts';
import { objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { isOptedIn } from '../../lib/pod/placement.ts';
import { isProtectedNamespace } from '../../lib/pod/reasons.ts';
import type { InjectionSettings } from '../../webhook/admission/containers.ts';
import { askCluster, type ClusterAnswers, objectsOf } from './cluster-answers.ts';
import { type Trial, tryNamespace, tryNodeAgent } from './namespace-trial.ts';
import { judgeCluster, type PreflightReport, type Trials } from './preflight-verdict.ts';
import type { ParseYaml } from './read-kube-proxy.ts';
import { type NamespaceMesh, readNamespaces } from './read-mesh.ts';

export interface PreflightRun {
  client: Pick<ClusterClient, 'get' | 'create'>;
  parseYaml: ParseYaml;
  settings: InjectionSettings;
  /** One namespace; '' for those of the mesh, or for all. */
  namespace: string;
  all: boolean;
  progress: ((text: string) => void) | undefined;
  /** Fires when no further namespace is to be tried. */
  stop: AbortSignal;
}

/** Namespaces that are tried at most, two requests each. */
export const MOST_TRIED = 50;
export const MOST_TRIED_OF_ALL = 500;
const AT_ONCE = 5;

/** @throws what the client rejects with, where the API server cannot be asked at all */
export async function runPreflight(run: PreflightRun): Promise<PreflightReport> {
  const answers = await askCluster(run.client, run.namespace);
  const trials = await tryAll(answers, run);
  return judgeCluster(answers, trials, run.parseYaml);
}

async function tryAll(answers: ClusterAnswers, run: PreflightRun): Promise<Trials> {
  const { client, settings, progress, stop } = run;
  const openShift = hasGroup(answers, 'security.openshift.io');
  const { chosen, leftOut } = chooseNamespaces(readNamespaces(answers), run.namespace, run.all);
  const trials: (Trial | undefined)[] = chosen.map(() => undefined);
  let next = 0;
  const worker = async () => {
    while (next < chosen.length && !stop.aborted) {
      const index = next++;
      const namespace = chosen[index]?.name ?? '';
      progress?.(`dry run ${index + 1} of ${chosen.length}: ${namespace}\n`);
      trials[index] = await tryNamespace(client, namespace, settings, openShift);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const nodeAgent =
    openShift || stop.aborted ? undefined : await tryNodeAgent(client, agentNamespace(answers), settings.image);
  return { namespaces: chosen.map((mesh, index) => ({ mesh, trial: trials[index] })), nodeAgent, openShift, leftOut };
}

/** Where agents would run; before the installation another namespace stands for it. */
function agentNamespace(answers: ClusterAnswers): string {
  const own = objectsOf(answers.lists.namespaces).some(({ metadata }) => objectAt(metadata)['name'] === OWN_NAMESPACE);
  return own ? OWN_NAMESPACE : 'default';
}

function hasGroup(answers: ClusterAnswers, name: string): boolean {
  const { apiGroups } = answers.objects;
  return (
    apiGroups.state === 'read' && objectsAt(apiGroups.value, 'groups').some((one) => shortText(one['name']) === name)
  );
}

/**
 * Those of the mesh, and those that are opted in; where there is none, or with `all`, each.
 * @param known sorted, those of the mesh first
 */
export function chooseNamespaces(known: NamespaceMesh[], named: string, all: boolean) {
  if (named !== '') {
    const found = known.find(({ name }) => name === named);
    const unread: NamespaceMesh = { name: named, labels: {}, share: 'none', pods: 0 };
    return { chosen: [found ?? unread], leftOut: 0 };
  }
  const open = known.filter(({ name }) => !isProtectedNamespace(name));
  const concerned = open.filter(({ share, labels }) => share !== 'none' || isOptedIn(labels as Record<string, string>));
  const wanted = all || concerned.length === 0 ? open : concerned;
  const chosen = wanted.slice(0, all ? MOST_TRIED_OF_ALL : MOST_TRIED);
  return { chosen, leftOut: wanted.length - chosen.length };
}
