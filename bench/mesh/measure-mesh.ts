// Measures in a mesh that is up and has the images: run by bench/mesh/bench-mesh.ts in the cluster's network.

import { writeFile } from 'node:fs/promises';
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { createNamespace, kubectl } from '../../test/harness/cluster/kubectl.ts';
import { install } from '../../test/harness/cluster/webhook-installation.ts';
import { stopAll } from '../../test/harness/netns/processes.ts';
import { makeProgress } from '../../test/harness/progress-line.ts';
import { layoutOf } from '../../tools/cluster/cluster-layout.ts';
import { readSettings } from '../../tools/cluster/cluster-settings.ts';
import { findMeshPrograms } from '../../tools/mesh/mesh-programs.ts';
import { connect } from '../cluster/bench-api.ts';
import { namespaceFor, waitForInjection } from '../cluster/bench-pods.ts';
import { benchPodStart } from '../cluster/pod-times.ts';
import { type Figure, renderResults } from '../figure.ts';
import { readLoad } from '../machine.ts';
import { chosenSections, measureSections, renderMeasured } from '../sections.ts';
import { benchInjectors } from './injectors.ts';
import { benchIptables } from './iptables-programs.ts';
import { benchUploads } from './upload-rates.ts';

const RESULTS = new URL('../mesh-results.json', import.meta.url);
const GUARDED = namespaceFor('guarded');
const PLAIN = namespaceFor('plain');

/** Milliseconds that a guarded pod may take longer: the kubelet's second between two containers, and the container itself. */
const MAY_ADD = 1100;
/** Two pods with their sidecars take ten seconds, twenty pairs are wanted. */
const POD_START_SECONDS = 300;

const print = (text: string) => process.stdout.write(`${text}\n`);
const tell = makeProgress(process.stderr);
const layout = layoutOf(process.env['CLUSTER'] ?? '');
const api = await connect(process.env['KUBECONFIG'] ?? '');
const loadBefore = readLoad();
const started = performance.now();
const programs = await findMeshPrograms(readSettings(process.env).cache, () => undefined, new AbortController().signal);

const SECTIONS: Record<string, () => Promise<Figure[]>> = {
  install: () => benchIptables(programs.get('pilot-agent') ?? '', tell),
  injectors: () => benchInjectors(api, layout, GUARDED, tell),
  uploads: () => benchUploads(GUARDED, PLAIN, tell),
  'pod start': () => benchPodStart(api, GUARDED, PLAIN, tell, MAY_ADD, POD_START_SECONDS),
};

tell('installing');
await install();
for (const [name, labels] of [
  [GUARDED, { 'istio-injection': 'enabled', [OPT_IN_LABEL]: 'enabled' }],
  [PLAIN, { 'istio-injection': 'enabled' }],
] as const) {
  await createNamespace(name, labels);
}
await waitForInjection(api, GUARDED);
const wanted = process.argv.slice(2);
const measured = await measureSections(chosenSections(SECTIONS, wanted), stopAll);
tell('');
await kubectl(['delete', 'namespace', GUARDED, PLAIN, '--wait=false']);
api.close();
print(`load ${loadBefore} before and ${readLoad()} after\n\n${renderMeasured(measured, started)}`);
if (wanted.length === 0 && measured.failures.length === 0) await writeFile(RESULTS, renderResults(measured.figures));
process.exitCode = measured.failures.length > 0 ? 1 : 0;
