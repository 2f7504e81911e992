// Whether a component does its work, which is more than that its process runs.
import { fileURLToPath } from 'node:url';
import { run } from '../../test/harness/netns/processes.ts';
import type { Component } from './components.ts';
import { enterNetwork, tryKubectl } from './enter.ts';
import type { Layout } from './layout.ts';

const RESOLVE = fileURLToPath(new URL('resolve.ts', import.meta.url));

const QUESTIONS: Partial<Record<Component, (layout: Layout) => Promise<boolean>>> = {
  // The kubelet ends where containerd does not answer it at once.
  containerd: ({ containerd }) => succeeds('ctr', ['--address', containerd, 'version']),
  'kube-apiserver': (layout) => answers(layout, '/readyz'),
  kubelet: (layout) => answers(layout, `/api/v1/nodes/${layout.name}/proxy/healthz`),
  coredns: (layout) => {
    const [program = '', ...args] = enterNetwork(layout, [process.execPath, RESOLVE]);
    return succeeds(program, args);
  },
};

/** Whether it answers; true for a component of which nothing else waits for an answer. */
export function serves(layout: Layout, component: Component): Promise<boolean> {
  return QUESTIONS[component]?.(layout) ?? Promise.resolve(true);
}

async function answers(layout: Layout, path: string): Promise<boolean> {
  return (await tryKubectl(layout, ['get', '--raw', path])).exitCode === 0;
}

async function succeeds(program: string, args: string[]): Promise<boolean> {
  return (await run(program, args)).exitCode === 0;
}
