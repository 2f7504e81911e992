// `kubectl invalid-drop preflight`: is this cluster exposed, and will invalid-drop work here?

import { readOptions } from '../../lib/options.ts';
import { injectionSettings, OPTIONS } from '../../webhook/webhook-options.ts';
import { defineCommand, EXIT } from '../cli-command.ts';
import { formatResult } from '../output.ts';
import { preflightText } from './preflight-text.ts';
import type { PreflightReport } from './preflight-verdict.ts';
import { MOST_TRIED, MOST_TRIED_OF_ALL, runPreflight } from './run-preflight.ts';

const EXIT_CODES: Record<PreflightReport['verdict'], number> = {
  well: EXIT.well,
  attention: EXIT.found,
  'cannot tell': EXIT.cannot,
};

export const preflightCommand = defineCommand({
  name: 'preflight',
  summary: 'says whether this cluster is exposed, and whether invalid-drop will work here; changes nothing',
  usage: `Usage: kubectl invalid-drop preflight [-n NAMESPACE | -A] [-o wide|json|yaml]

Before anything is installed: says whether stray segments reach the pods of this cluster, what its kernels, nodes and mesh mean,
and what can guard the pods of each namespace. It reads, and sends pods as dry runs, of which nothing is stored.
Without -n it tries the namespaces of the mesh, ${MOST_TRIED} at most; with -A each, ${MOST_TRIED_OF_ALL} at most.
Exit 0: it will work, and nothing is alarming. 1: pods are exposed, or something will not work. 2: what decides cannot be seen.`,
  options: {
    image: {
      ...OPTIONS.image,
      help: 'Image of the container in the dry runs, for clusters with rules about images.',
    },
  },
  switches: {},
  positionals: 0,
  async run({ values, given }, { connect, print, progress, stop }) {
    const client = await connect();
    const { parseYaml } = await import('./parse-yaml.ts');
    const settings = { ...injectionSettings(readOptions(OPTIONS, [], {}).values), image: values.image };
    const { namespace } = values;
    const all = given.has('all-namespaces');
    const report = await runPreflight({ client, parseYaml, settings, namespace, all, progress, stop });
    print(await formatResult(values.output, report, (wide) => preflightText(report, wide)));
    return EXIT_CODES[report.verdict];
  },
});
