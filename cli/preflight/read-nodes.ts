// What the nodes are: operating system, processor, kernel, kubelet, and whether they are serverless. Pure.
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';

/** Nodes that run no kernel of ours to guard pods in. */
export type Serverless = 'fargate' | 'virtual';

export interface NodeFacts {
  name: string;
  os: string;
  arch: string;
  kernel: string;
  osImage: string;
  kubelet: string;
  runtime: string;
  serverless: Serverless | undefined;
  /** Arguments of k3s or RKE2, which the node's annotation tells; undefined on others. */
  k3sArguments: string[] | undefined;
}

/** @param node as the API server sent it */
export function readNode(node: JsonObject): NodeFacts {
  const info = objectAt(node, 'status', 'nodeInfo');
  const metadata = objectAt(node, 'metadata');
  const labels = objectAt(metadata, 'labels');
  return {
    name: shortText(metadata['name']),
    os: shortText(info['operatingSystem'], 20) || shortText(labels['kubernetes.io/os'], 20) || 'linux',
    arch: shortText(info['architecture'], 20),
    kernel: shortText(info['kernelVersion'], 100),
    osImage: shortText(info['osImage'], 100),
    kubelet: shortText(info['kubeletVersion'], 60),
    runtime: shortText(info['containerRuntimeVersion'], 60),
    serverless: serverlessOf(node, labels),
    k3sArguments: k3sArguments(objectAt(metadata, 'annotations')),
  };
}

/** By the label of EKS, and by the label or taint that virtual-kubelet sets (Azure's ACI is one). */
function serverlessOf(node: JsonObject, labels: JsonObject): Serverless | undefined {
  if (labels['eks.amazonaws.com/compute-type'] === 'fargate') return 'fargate';
  const tainted = objectsAt(node, 'spec', 'taints').some(({ key }) => key === 'virtual-kubelet.io/provider');
  return labels['type'] === 'virtual-kubelet' || tainted ? 'virtual' : undefined;
}

/** k3s and RKE2 write the arguments of their own program, as a JSON array, with secrets replaced by asterisks. */
function k3sArguments(annotations: JsonObject): string[] | undefined {
  const text =
    shortText(annotations['k3s.io/node-args'], 20_000) || shortText(annotations['rke2.io/node-args'], 20_000);
  if (text === '') return undefined;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter((one) => typeof one === 'string').slice(0, 1000) : [];
  } catch {
    return [];
  }
}

/** What a kernel does to a connection where only the rule is there, as docs/kernels.md has it. */
export type KernelKind =
  /** INVALID segments are dropped and sent again: no connection hangs. */
  | 'no-hang'
  /** Connections that had stray segments may hang with the rule alone: the rescue is needed. */
  | 'rescue-needed'
  /** Older than the oldest that is tested. */
  | 'old'
  | 'unreadable';

/**
 * @param release as uname -r, such as 5.14.0-503.el9.x86_64
 * @returns its kind; `distribution` where the vendor puts changes of later kernels into an old version
 */
export function kernelKind(release: string): { kind: KernelKind; distribution: boolean } {
  const [, major, minor, patch] = /^(\d{1,3})\.(\d{1,4})(?:\.(\d{1,5}))?/.exec(release) ?? [];
  const distribution = /\.el\d|\.amzn|-azure|-gke|\+$|-aws|-oracle|uek/.test(release);
  if (major === undefined) return { kind: 'unreadable', distribution };
  const version = Number(major) * 1000 + Number(minor);
  if (version < 5010) return { kind: 'old', distribution };
  // Read in the source: 5.15 from 5.15.68 on, and 6.0. 5.16 to 5.19 are out of support, and taken to be as 6.0.
  // Ubuntu calls each 5.15 that it maintains 5.15.0-NUMBER, and takes over the fixes of 5.15.y.
  const ubuntu = /^5\.15\.0-\d/.test(release);
  const rescue = version > 5015 || (version === 5015 && (Number(patch ?? 0) >= 68 || ubuntu));
  return { kind: rescue ? 'rescue-needed' : 'no-hang', distribution };
}

/** Major and minor of versions such as v1.34.4+k3s1 as one number, 134; NaN where it is none. */
export function minorOf(version: string): number {
  const [, major, minor] = /^v?(\d{1,2})\.(\d{1,3})/.exec(version) ?? [];
  return Number(major) * 100 + Number(minor);
}

/** The API server's version, from /version. */
export function serverVersion(answer: unknown): string {
  return isObject(answer) ? shortText(answer['gitVersion'], 60) : '';
}
