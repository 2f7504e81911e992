// Measures in a cluster that is up and has the images: run by bench/cluster/bench-cluster.ts in the cluster's network.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { install } from '../../test/harness/cluster/webhook-installation.ts';
import { stopAll } from '../../test/harness/netns/processes.ts';
import { layoutOf } from '../../tools/cluster/layout.ts';
import { renderFigures, renderResults } from '../bench-report.ts';
import type { Figure } from '../figure.ts';
import { readLoad } from '../machine.ts';
import { makeProgress } from '../progress-line.ts';
import { addNamespaces, namespaceFor, waitForInjection } from './bench-pods.ts';
import { benchCheckers } from './checkers.ts';
import { benchImages } from './image-sizes.ts';
import { connect } from './kept-api.ts';
import { benchPodCreation } from './pod-creation.ts';
import { benchPodStart } from './pod-start.ts';
import { benchStart } from './replicas.ts';
import { benchScale } from './scale.ts';

const IMAGES = fileURLToPath(new URL('../../.run/images', import.meta.url));
const RESULTS = new URL('../cluster-results.json', import.meta.url);
const GUARDED = namespaceFor('guarded');
const PLAIN = namespaceFor('plain');

const print = (text: string) => process.stdout.write(`${text}\n`);
const tell = makeProgress(process.stderr);
const layout = layoutOf(process.env['CLUSTER'] ?? '');
const api = await connect(process.env['KUBECONFIG'] ?? layout.kubeconfig);
const started = performance.now();
const loadBefore = readLoad();

const SECTIONS: Record<string, () => Promise<Figure[]>> = {
  images: () => benchImages(IMAGES),
  'start of the webhook': () => benchStart(api, layout, tell),
  'pod creation': () => benchPodCreation(api, tell),
  'pod start': () => benchPodStart(api, GUARDED, PLAIN, tell),
  checkers: async () => {
    const figures = await benchCheckers(api, layout, GUARDED, tell);
    for (const name of [GUARDED, PLAIN]) await api.ask('DELETE', `/api/v1/namespaces/${name}`);
    return figures;
  },
  scale: () => benchScale(api, layout, tell),
};

const figures: Figure[] = [];
const failures: string[] = [];
tell('installing');
await install();
await addNamespaces(api, [GUARDED], true);
await addNamespaces(api, [PLAIN], false);
await waitForInjection(api, GUARDED);
const wanted = process.argv.slice(2);
for (const [name, section] of Object.entries(SECTIONS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    figures.push(...(await section()));
  } catch (error) {
    failures.push(`${name} could not be measured: ${error instanceof Error ? error.message : error}`);
    await stopAll();
  }
}
tell('');
api.close();
print(
  `load ${loadBefore[0]} before and ${readLoad()[0]} after, the cluster's own programs among it\n\n${renderFigures(figures)}\n`,
);
const judged = figures.filter(({ ok }) => ok !== null);
const reached = judged.filter(({ ok }) => ok).length;
print(`${reached} of ${judged.length} goals reached, in ${Math.round((performance.now() - started) / 1000)} s.`);
for (const failure of failures) print(failure);
await writeFile(RESULTS, renderResults(figures));
process.exitCode = failures.length === 0 ? 0 : 1;
