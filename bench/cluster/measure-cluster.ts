// Measures in a cluster that is up and has the images: run by bench/cluster/bench-cluster.ts in the cluster's network.

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { install } from '../../test/harness/cluster/webhook-installation.ts';
import { stopAll } from '../../test/harness/netns/processes.ts';
import { makeProgress } from '../../test/harness/progress-line.ts';
import { layoutOf } from '../../tools/cluster/cluster-layout.ts';
import { type Figure, renderResults } from '../figure.ts';
import { readLoad } from '../machine.ts';
import { chosenSections, measureSections, renderMeasured } from '../sections.ts';
import { benchAgent, benchFullNode } from './agent-cost.ts';
import { benchAgentRepair, benchLabel } from './agent-speed.ts';
import { connect } from './bench-api.ts';
import { addNamespaces, namespaceFor, waitForInjection } from './bench-pods.ts';
import { benchImages } from './image-sizes.ts';
import { benchCheckers } from './node-checkers.ts';
import { type BenchAgent, clearAway, installNodeMode, NODE_MODE_NAMESPACES, removeAgents } from './node-mode-setup.ts';
import { benchBurst, benchFirstContainer, benchNodeModeStart } from './node-mode-starts.ts';
import { benchPodCreation, benchPodStart } from './pod-times.ts';
import { benchStart } from './webhook-replicas.ts';
import { benchScale } from './webhook-scale.ts';

const IMAGES = fileURLToPath(new URL('../../.run/images', import.meta.url));
const RESULTS = new URL('../cluster-results.json', import.meta.url);
const GUARDED = namespaceFor('guarded');
const PLAIN = namespaceFor('plain');

/** Milliseconds: the kubelet's second between two containers, and the container itself. */
const MAY_ADD = 1150;

const print = (text: string) => process.stdout.write(`${text}\n`);
const tell = makeProgress(process.stderr);
const layout = layoutOf(process.env['CLUSTER'] ?? '');
const api = await connect(process.env['KUBECONFIG'] ?? layout.kubeconfig);
const started = performance.now();
const loadBefore = readLoad();
let agent: Promise<BenchAgent> | undefined;

const SECTIONS: Record<string, () => Promise<Figure[]>> = {
  images: () => benchImages(IMAGES),
  'start of the webhook': () => benchStart(api, layout, tell),
  'pod creation': () => benchPodCreation(api, tell),
  'pod start': () => benchPodStart(api, GUARDED, PLAIN, tell, MAY_ADD),
  checkers: async () => {
    const figures = await benchCheckers(api, layout, GUARDED, tell);
    for (const name of [GUARDED, PLAIN]) await api.ask('DELETE', `/api/v1/namespaces/${name}`);
    return figures;
  },
  'node mode: pod start': withAgent(() => benchNodeModeStart(api, tell)),
  'node mode: rule before the first container': withAgent((agent) => benchFirstContainer(api, layout, agent, tell)),
  'node mode: agent': withAgent((agent) => benchAgent(api, agent, tell)),
  'node mode: drift to repair': withAgent(() => benchAgentRepair(api, tell)),
  'node mode: label to guarded': withAgent(() => benchLabel(api, tell)),
  'node mode: full node': withAgent(async (agent) => {
    await clearAway(api, [NODE_MODE_NAMESPACES.guarded]);
    return [...(await benchBurst(api, layout, agent, tell)), ...(await benchFullNode(api, agent, tell))];
  }),
  scale: async () => {
    await removeAgents();
    await clearAway(api, Object.values(NODE_MODE_NAMESPACES));
    return benchScale(api, layout, tell);
  },
};

/** Agents are installed for the first section that needs them, after those of pod mode. */
function withAgent(section: (agent: BenchAgent) => Promise<Figure[]>): () => Promise<Figure[]> {
  return async () => {
    agent ??= installNodeMode(api, layout, NODE_MODE_NAMESPACES.guarded, tell);
    return section(await agent);
  };
}

tell('installing');
await install();
await addNamespaces(api, [GUARDED], 'enabled');
await addNamespaces(api, [PLAIN]);
await waitForInjection(api, GUARDED);
const wanted = process.argv.slice(2);
const measured = await measureSections(chosenSections(SECTIONS, wanted), stopAll);
tell('');
api.close();
print(
  `load ${loadBefore[0]} before and ${readLoad()[0]} after, the cluster's own programs among it\n\n${renderMeasured(measured, started)}`,
);
await writeFile(RESULTS, renderResults(measured.figures));
process.exitCode = measured.failures.length === 0 ? 0 : 1;
