// `kubectl invalid-drop version`.
import { VERSION } from '../lib/contract.ts';
import { defineCommand, EXIT } from './cli-command.ts';
import { formatResult } from './output.ts';

export const versionCommand = defineCommand({
  name: 'version',
  summary: 'prints the version of this command',
  usage: `Usage: kubectl invalid-drop version [-o json|yaml]

Prints the version of this command. "status" prints that of the installation.`,
  options: {},
  switches: {},
  positionals: 0,
  async run({ values }, { print }) {
    const version = { version: VERSION, node: process.version, platform: `${process.platform}/${process.arch}` };
    print(await formatResult(values.output, version, () => `invalid-drop ${VERSION}\n`));
    return EXIT.well;
  },
});
