// What the nodes and the version of Kubernetes mean for us. Pure.
import { type Finding, finding, nodesInWords } from './preflight-finding.ts';
import { type KernelKind, kernelKind, minorOf, type NodeFacts } from './read-nodes.ts';

const ARCHITECTURES = ['amd64', 'arm64'];
/** Kubernetes that the webhook needs (docs/install.md), and kubelets that run native sidecars. */
const OLDEST = 130;
const NATIVE_SIDECARS = 129;

/** Nodes on which pods can be guarded at all. */
export function usableNodes(nodes: NodeFacts[]): NodeFacts[] {
  return nodes.filter(
    ({ os, arch, serverless }) => os === 'linux' && serverless === undefined && ARCHITECTURES.includes(arch),
  );
}

/** @param server the API server's version; '' where it is not known */
export function nodeFindings(nodes: NodeFacts[], server: string): Finding[] {
  return [
    ...versionFindings(server),
    ...unusableFindings(nodes),
    ...kernelFindings(usableNodes(nodes)),
    ...kubeletFindings(usableNodes(nodes)),
  ];
}

function versionFindings(server: string): Finding[] {
  if (!(minorOf(server) < OLDEST)) return [];
  const toDo = 'Upgrade the cluster to Kubernetes 1.30 or later.';
  return [
    finding(
      'kubernetes-too-old',
      'warning',
      `the API server is ${server}`,
      'The webhook needs matchConditions and the sleep action of preStop, which are there from Kubernetes 1.30 on.',
      toDo,
    ),
  ];
}

function unusableFindings(nodes: NodeFacts[]): Finding[] {
  // Where no node is left, nothing can be guarded.
  const level = nodes.length > 0 && usableNodes(nodes).length === 0 ? 'warning' : 'note';
  const left = 'Pods there are left alone, with this reason; pods of the other nodes are guarded.';
  const groups: [string, NodeFacts[], string][] = [
    ['windows-nodes', nodes.filter(({ os }) => os === 'windows'), 'Windows has no netfilter. '],
    [
      'fargate-nodes',
      nodes.filter(({ serverless }) => serverless === 'fargate'),
      'Fargate refuses NET_ADMIN, and runs no node agent. ',
    ],
    [
      'virtual-nodes',
      nodes.filter(({ serverless }) => serverless === 'virtual'),
      'A virtual node (virtual-kubelet, ACI) has no network namespace for the rule. ',
    ],
    [
      'other-architecture',
      nodes.filter(({ os, arch, serverless }) => os !== 'windows' && !serverless && !ARCHITECTURES.includes(arch)),
      'There are images for amd64 and arm64 only: on other processors our container does not start. ',
    ],
  ];
  return groups
    .filter(([, some]) => some.length > 0)
    .map(([code, some, means]) => {
      const wrong = code === 'other-architecture';
      const toDo = wrong ? 'Label no namespace whose pods run there, or give its pods a node selector.' : '';
      const arch = wrong ? `: ${[...new Set(some.map((one) => one.arch))].join(', ')}` : '';
      return finding(
        code,
        wrong ? 'warning' : level,
        `${nodesInWords(some)}${arch}`,
        `${means}${wrong ? '' : left}`.trim(),
        toDo,
      );
    });
}

function kernelFindings(nodes: NodeFacts[]): Finding[] {
  const ofKind = (wanted: KernelKind) => nodes.filter(({ kernel }) => kernelKind(kernel).kind === wanted);
  const seen = (some: NodeFacts[]) => {
    const kernels = [...new Set(some.map(({ kernel }) => kernel || 'not known'))];
    return `Linux ${kernels.slice(0, 4).join(', ')}${kernels.length > 4 ? ', ...' : ''} on ${nodesInWords(some)}`;
  };
  return [
    ...when(ofKind('no-hang'), (some) => {
      const vendor = some.some(({ kernel }) => kernelKind(kernel).distribution)
        ? ' A distribution may have put the change of 6.1 into such a kernel; the rescue covers that too.'
        : '';
      return finding(
        'kernel-no-hang',
        'good',
        seen(some),
        `No connection hangs where only the rule is there.${vendor}`,
      );
    }),
    ...when(ofKind('rescue-needed'), (some) =>
      finding(
        'kernel-rescue-needed',
        'good',
        seen(some),
        'With the rule alone, as with INVALID_DROP of Istio, connections with stray segments can hang. The checker rescues them.',
        'Leave checker and rescue enabled, as they are by default.',
      ),
    ),
    ...when(ofKind('old'), (some) =>
      finding(
        'kernel-old',
        'unknown',
        seen(some),
        'The oldest kernel that is tested is 5.10.',
        'Guard one pod there in mode observe, and read its verdict (docs/selfcheck.md).',
      ),
    ),
    ...when(ofKind('unreadable'), (some) =>
      finding('kernel-unreadable', 'unknown', seen(some), 'Its version is not known, so what it does is not.'),
    ),
  ];
}

const when = (nodes: NodeFacts[], make: (some: NodeFacts[]) => Finding) => (nodes.length === 0 ? [] : [make(nodes)]);

function kubeletFindings(nodes: NodeFacts[]): Finding[] {
  const old = nodes.filter(({ kubelet }) => minorOf(kubelet) < NATIVE_SIDECARS);
  return when(old, (some) =>
    finding(
      'kubelet-without-native-sidecars',
      'warning',
      `kubelet ${[...new Set(some.map(({ kubelet }) => kubelet))].join(', ')} on ${nodesInWords(some)}`,
      'These kubelets run no native sidecars: a pod with our container would never start there.',
      'Upgrade them, or set the option --native-sidecars=disabled of the webhook (docs/configuration.md).',
    ),
  );
}
