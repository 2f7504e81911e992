// The states that a pod's namespace is measured in, and the programs as the image runs them.

import { fileURLToPath } from 'node:url';
import { SIDECAR_COMMAND } from '../lib/contract.ts';
import type { Backend } from '../lib/netfilter/model.ts';
import { redirectRules } from '../test/harness/netns/istio-rules.ts';
import type { NetworkNamespace } from '../test/harness/netns/network-namespaces.ts';

export type PodState = 'empty' | `istio-${Backend}`;

const bundle = (name: string) => fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url));

/** The bundles, as `node FILE` runs them. */
export const INSTALL = bundle('install');
export const CHECK = bundle('check');
export const WEBHOOK = bundle('webhook');

/** Arguments for Node of the container that installs and goes on as the checker. */
export const SIDECAR = [...SIDECAR_COMMAND.slice(1, -2), CHECK, '--install'];

/** Puts Istio's REDIRECT rules in, both families; an empty pod is left as it is. */
export async function prepare(pod: NetworkNamespace, state: PodState): Promise<void> {
  if (state === 'empty') return;
  const backend = state === 'istio-nft' ? 'nft' : 'legacy';
  await pod.must(`iptables-${backend}-restore`, ['--noflush'], { input: redirectRules('ipv4') });
  await pod.must(`ip6tables-${backend}-restore`, ['--noflush'], { input: redirectRules('ipv6') });
}
