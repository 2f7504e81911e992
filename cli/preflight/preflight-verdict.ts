// From what was seen to the verdict of preflight. Pure.
import { type MeshName, meshOf } from '../../lib/mesh/meshes.ts';
import { type ClusterAnswers, missingWords, objectsOf } from './cluster-answers.ts';
import { type Exposure, judgeExposure } from './exposure.ts';
import { exposureFindings } from './exposure-findings.ts';
import { meshFindings } from './mesh-findings.ts';
import type { Trial } from './namespace-trial.ts';
import { judgeNamespace, type NamespaceVerdict, nodeModeOf } from './namespace-verdict.ts';
import { nodeFindings, usableNodes } from './node-findings.ts';
import { type Finding, finding } from './preflight-finding.ts';
import { readCniTuning } from './read-cni-tuning.ts';
import { liberalDaemonSets, readDataPlanes } from './read-data-plane.ts';
import { type ParseYaml, readKubeProxy } from './read-kube-proxy.ts';
import { type MeshFacts, type NamespaceMesh, readMesh } from './read-mesh.ts';
import { kernelKind, type NodeFacts, readNode, serverVersion } from './read-nodes.ts';

/** What the trials found. */
export interface Trials {
  /** The namespaces that were tried, in the order of the report. */
  namespaces: { mesh: NamespaceMesh; trial: Trial | undefined }[];
  /** A pod like the agent's. */
  nodeAgent: Trial | undefined;
  openShift: boolean;
  /** Namespaces that were left out because there are too many. */
  leftOut: number;
}

export interface PreflightReport {
  /** Exit code 0, 1 and 2. */
  verdict: 'well' | 'attention' | 'cannot tell';
  exposure: Exposure | 'no mesh';
  /** One or two sentences. */
  summary: string[];
  findings: Finding[];
  namespaces: NamespaceVerdict[];
  nodes: NodeFacts[];
  /** What could not be read, with the right that is missing, and what the API never shows. */
  notSeen: string[];
}

export function judgeCluster(answers: ClusterAnswers, trials: Trials, parseYaml: ParseYaml): PreflightReport {
  const nodes = objectsOf(answers.lists.nodes).map(readNode);
  const mesh = readMesh(answers, parseYaml);
  const proxy = readKubeProxy(answers, nodes, parseYaml);
  const planes = readDataPlanes(answers, nodes);
  const liberal = liberalDaemonSets(answers);
  const tuning = readCniTuning(answers);
  const exposure = judgeExposure(proxy, planes, liberal, tuning);
  const usable = usableNodes(nodes);
  const agents = nodeModeOf(trials.nodeAgent, trials.openShift);
  const nodesRead = answers.lists.nodes.state === 'read';
  const namespaces = trials.namespaces.map(({ mesh: one, trial }) =>
    judgeNamespace(one, trial, agents, nodesRead ? usable.length > 0 : undefined),
  );
  const meshed = hasMesh(mesh, answers, trials);
  const findings = [
    ...(meshed === 'no' ? [noMesh()] : []),
    ...exposureFindings(exposure, proxy, planes, liberal, tuning, meshed !== 'no'),
    ...nodeFindings(nodes, serverVersion(answers.objects.version.state === 'read' && answers.objects.version.value)),
    ...meshFindings(
      mesh,
      usable.some(({ kernel }) => kernelKind(kernel).kind === 'rescue-needed'),
    ),
    ...(nodesRead
      ? []
      : [finding('nodes-not-read', 'unknown', missingWords('nodes', answers.lists.nodes), NODES_MEAN)]),
  ];
  const verdict = overall(findings, namespaces);
  return {
    verdict,
    exposure: meshed === 'no' ? 'no mesh' : exposure.exposure,
    summary: summaryOf(meshed === 'no' ? 'no mesh' : exposure.exposure, namespaces, trials),
    findings,
    namespaces,
    nodes,
    notSeen: notSeen(answers, trials),
  };
}

const NODES_MEAN = 'Kernels, operating systems and processors are not known, so whether the cure works there is not.';

/** unknown: what would show a mesh could not be read. */
function hasMesh(mesh: MeshFacts, answers: ClusterAnswers, trials: Trials): 'yes' | 'no' | 'unknown' {
  const labelled = trials.namespaces.some(({ mesh: { share } }) => share !== 'none');
  if (mesh.istio !== undefined || mesh.others.length > 0 || labelled) return 'yes';
  const { webhooks, meshedPods } = answers.lists;
  return webhooks.state === 'read' || meshedPods.state === 'read' ? 'no' : 'unknown';
}

function noMesh(): Finding {
  return finding(
    'no-mesh',
    'note',
    'no mesh: no istiod, no injector of a mesh, no namespace that asks for one, no pod with a sidecar of Istio',
    'Nothing redirects connections, so there is nothing that a stray segment could skip.',
  );
}

function overall(findings: Finding[], namespaces: NamespaceVerdict[]): PreflightReport['verdict'] {
  if (findings.some(({ level }) => level === 'warning')) return 'attention';
  if (namespaces.some(({ guardBy }) => guardBy === 'neither')) return 'attention';
  if (findings.some(({ level }) => level === 'unknown')) return 'cannot tell';
  return namespaces.some(({ guardBy }) => guardBy === 'cannot tell') ? 'cannot tell' : 'well';
}

const EXPOSURE_WORDS: Record<PreflightReport['exposure'], string> = {
  exposed: 'EXPOSED: stray segments reach the pods of this cluster.',
  hidden: 'HIDDEN: the nodes drop stray segments between pods. Those from the host network may still reach pods.',
  protected: 'PROTECTED: the CNI makes conntrack of each new pod liberal, so stray segments do no harm there.',
  unknown: 'CANNOT TELL whether stray segments reach the pods of this cluster.',
  'no mesh': 'NO MESH was seen: this bug needs one.',
};

function summaryOf(exposure: PreflightReport['exposure'], namespaces: NamespaceVerdict[], { leftOut }: Trials) {
  const count = (way: NamespaceVerdict['guardBy']) => namespaces.filter(({ guardBy }) => guardBy === way).length;
  const ways = (['pod mode', 'node mode', 'neither', 'cannot tell'] as const)
    .filter((way) => count(way) > 0)
    .map((way) => `${way} ${count(way)}`);
  const tried =
    namespaces.length === 0 ? 'No namespace was tried.' : `Namespaces by what can guard them: ${ways.join(', ')}.`;
  const left = leftOut > 0 ? [`${leftOut} namespaces were left out: name one with -n.`] : [];
  return [EXPOSURE_WORDS[exposure], tried, ...left];
}

/** What no API object shows, whoever asks. */
const NEVER_SEEN = [
  'nf_conntrack_tcp_be_liberal on nodes, where something other than kube-proxy or a DaemonSet sets it',
  'sysctls that a CNI plugin (tuning) sets in pods, where no ConfigMap holds its configuration',
];

function notSeen({ lists, objects, configMaps, meshes }: ClusterAnswers, { namespaces }: Trials): string[] {
  const named = [
    ['nodes', lists.nodes],
    ['namespaces', lists.namespaces],
    ['DaemonSets, and so the data plane', lists.daemonSets],
    ['static pods of kube-proxy', lists.proxyPods],
    ['pods with sidecars', lists.meshedPods],
    ['Deployments of istiod', lists.istiods],
    ['webhook configurations, and so meshes and policy engines', lists.webhooks],
    ['the version', objects.version],
    ['API groups', objects.apiGroups],
    ['the configuration of kube-proxy', objects.kubeProxyConfig],
    ['the configuration of Calico', objects.felixConfiguration],
    ...Object.entries(meshes).flatMap(([name, { controlPlanes, pods }]) => {
      const { title } = meshOf(name as MeshName);
      return [[`Deployments of ${title}`, controlPlanes] as const, [`pods of ${title}`, pods] as const];
    }),
    ['NetworkAttachmentDefinitions', lists.networkAttachments],
    ...Object.entries(configMaps).map(([name, map]) => [`ConfigMap ${name}`, map] as const),
  ] as const;
  const cut = Object.entries(lists).flatMap(([name, one]) =>
    one.state === 'read' && one.value.more ? [`only the first ${one.value.objects.length} ${name} were read`] : [],
  );
  const rights = namespaces.some(({ trial }) => trial?.outcome === 'no-right')
    ? ['could not ask by dry run in some namespaces: needs the right to create pods there']
    : [];
  const missing = named.map(([what, answer]) => missingWords(what, answer)).filter((words) => words !== '');
  return [...new Set([...missing, ...cut, ...rights, ...NEVER_SEEN])];
}
