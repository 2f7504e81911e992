// kube-proxy's mode and flags, as far as the API shows them. Pure, but for the reading of YAML.
import { type JsonObject, objectAt, objectsAt, shortText, textsIn } from '../../lib/json.ts';
import { type ClusterAnswers, mapText, objectsOf } from './cluster-answers.ts';
import { minorOf, type NodeFacts, serverVersion } from './read-nodes.ts';

export type ProxyMode = 'iptables' | 'nftables' | 'ipvs' | 'other';

export interface KubeProxyFacts {
  /** absent: another program does its work. unseen: it may be there, and nothing shows it. */
  state: 'seen' | 'absent' | 'unseen';
  /** undefined where it is not seen. */
  mode: ProxyMode | undefined;
  /** Nobody chose the mode: it is the default of its version. */
  byDefault: boolean;
  /** --conntrack-tcp-be-liberal, which sets the sysctl on the node; undefined where it is not seen. */
  beLiberal: boolean | undefined;
  /** Where that stands. */
  evidence: string;
}

/** kube-proxy's default is iptables until 1.39, and nftables from 1.40 on. */
const DEFAULT_IS_NFTABLES = 140;

/** Parses YAML; undefined where it is none. */
export type ParseYaml = (text: string) => unknown;

/**
 * The first that is there counts: the configuration that kubeadm or EKS keeps, the arguments of a DaemonSet or of static
 * pods, and what k3s tells of its own arguments.
 */
export function readKubeProxy(answers: ClusterAnswers, nodes: NodeFacts[], parseYaml: ParseYaml): KubeProxyFacts {
  const minor = minorOf(serverVersion(answers.objects.version.state === 'read' && answers.objects.version.value));
  return (
    fromConfiguration(answers, minor, parseYaml) ??
    fromDaemonSet(answers, minor) ??
    fromStaticPods(answers, minor) ??
    fromK3s(nodes) ??
    NOT_SEEN
  );
}

const NOT_SEEN: KubeProxyFacts = {
  state: 'unseen',
  mode: undefined,
  byDefault: false,
  beLiberal: undefined,
  evidence: 'no ConfigMap, DaemonSet or static pod of kube-proxy in kube-system',
};

function fromConfiguration(answers: ClusterAnswers, minor: number, parseYaml: ParseYaml): KubeProxyFacts | undefined {
  const sources = [
    ['ConfigMap kube-system/kube-proxy', mapText(answers.objects.kubeProxyConfig, 'config.conf')],
    ['ConfigMap kube-system/kube-proxy-config', mapText(answers.objects.eksProxyConfig, 'config')],
  ] as const;
  const [where, text] = sources.find(([, found]) => found !== '') ?? [];
  if (where === undefined) return undefined;
  const configuration = objectAt(parseYaml(text ?? ''));
  const mode = shortText(configuration['mode'], 30);
  const beLiberal = objectAt(configuration, 'conntrack')['tcpBeLiberal'] === true;
  return seen(mode, beLiberal, minor, where);
}

/** The first names of its programs: kube-proxy, and OpenShift's own. */
const DAEMON_SET = /^(openshift-)?kube-proxy/;

function fromDaemonSet(answers: ClusterAnswers, minor: number): KubeProxyFacts | undefined {
  const found = objectsOf(answers.lists.daemonSets).find(
    (one) => DAEMON_SET.test(shortText(objectAt(one, 'metadata')['name'])) && !isWindowsOnly(one),
  );
  if (found === undefined) return undefined;
  const { namespace, name } = objectAt(found, 'metadata');
  const text = wordsOf(objectAt(found, 'spec', 'template'));
  return fromArguments(text, minor, `DaemonSet ${shortText(namespace)}/${shortText(name)}`);
}

/** AKS has a second one for its Windows nodes. */
const isWindowsOnly = (daemonSet: JsonObject) =>
  objectAt(daemonSet, 'spec', 'template', 'spec', 'nodeSelector')['kubernetes.io/os'] === 'windows';

function fromStaticPods(answers: ClusterAnswers, minor: number): KubeProxyFacts | undefined {
  const [pod] = objectsOf(answers.lists.proxyPods);
  if (pod === undefined) return undefined;
  return fromArguments(wordsOf(pod), minor, `static pod kube-system/${shortText(objectAt(pod, 'metadata')['name'])}`);
}

/** Its arguments, or a shell line that holds them, as on GKE. */
function fromArguments(words: string, minor: number, where: string): KubeProxyFacts {
  const mode = /--proxy-mode[= ]"?([a-z]+)/.exec(words)?.[1] ?? '';
  const beLiberal = /--conntrack-tcp-be-liberal(?!=false)/.test(words);
  // The file's mode counts then, and is not visible here.
  if (/--config[= ]/.test(words) && mode === '') {
    const evidence = `${where} has --config, and the ConfigMap of that file is not known`;
    return { state: 'seen', mode: undefined, byDefault: false, beLiberal: undefined, evidence };
  }
  return seen(mode, beLiberal, minor, where);
}

/** k3s runs it inside its own process, and tells it --proxy-mode=iptables (read in its source). */
function fromK3s(nodes: NodeFacts[]): KubeProxyFacts | undefined {
  const node = nodes.find(({ k3sArguments }) => k3sArguments !== undefined);
  if (node?.k3sArguments === undefined) return undefined;
  const words = node.k3sArguments.join(' ');
  const evidence = `annotation k3s.io/node-args of node ${node.name}`;
  if (/--disable-kube-proxy(?!=false)/.test(words))
    return { state: 'absent', mode: undefined, byDefault: false, beLiberal: undefined, evidence };
  const mode = /proxy-mode=([a-z]+)/.exec(words)?.[1] ?? 'iptables';
  return { ...seen(mode, /conntrack-tcp-be-liberal(?!=false)/.test(words), 0, evidence) };
}

function seen(mode: string, beLiberal: boolean, minor: number, where: string): KubeProxyFacts {
  const byDefault = mode === '';
  const assumed = minor >= DEFAULT_IS_NFTABLES ? 'nftables' : 'iptables';
  const known = (['iptables', 'nftables', 'ipvs'] as const).find((one) => one === mode);
  const flags = beLiberal ? ', conntrack-tcp-be-liberal' : '';
  const evidence = `${where}: mode ${byDefault ? `not set, so ${assumed}` : mode}${flags}`;
  return { state: 'seen', mode: byDefault ? assumed : (known ?? 'other'), byDefault, beLiberal, evidence };
}

/** Command and arguments of all containers of a pod or of its template, as one text; at most so many characters. */
export function wordsOf(template: JsonObject): string {
  const spec = objectAt(template, 'spec');
  const containers = [...objectsAt(spec, 'initContainers'), ...objectsAt(spec, 'containers')];
  const words = containers.flatMap(({ command, args }) => [...textsIn(command), ...textsIn(args)]);
  return words.join(' ').slice(0, 100_000);
}
