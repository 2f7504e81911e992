// `kubectl invalid-drop completion SHELL`.
import { defineCommand, EXIT } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import { COMPLETION_SCRIPTS } from './completion-scripts.ts';

const KINDS = Object.keys(COMPLETION_SCRIPTS);

export const completionCommand = defineCommand({
  name: 'completion',
  summary: 'prints a script that completes command lines',
  usage: `Usage: kubectl invalid-drop completion ${KINDS.join('|')}

kubectl: prints the program that kubectl asks what may follow "kubectl invalid-drop". Put it into PATH as kubectl_complete-invalid_drop
(the npm package has it). The others complete kubectl-invalid_drop in that shell.`,
  options: {},
  switches: {},
  positionals: 1,
  complete: async () => KINDS,
  async run({ positionals: [kind = ''] }, { print }) {
    const script = Object.hasOwn(COMPLETION_SCRIPTS, kind) ? COMPLETION_SCRIPTS[kind] : undefined;
    if (script === undefined) throw errors.SHELL_UNKNOWN(kind, KINDS.join(', '));
    print(script);
    return EXIT.well;
  },
});
