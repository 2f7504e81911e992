// The init container: puts the rule in, reads the ruleset back, ends.
import { POD_OPTIONS } from '../lib/contract.ts';
import { describeError } from '../lib/errors.ts';
import { makeLog } from '../lib/log.ts';
import { install } from '../lib/netfilter/installer.ts';
import { withLockFile } from '../lib/netfilter/namespace-lock.ts';
import { makeRulesetReader } from '../lib/netfilter/ruleset-reader.ts';
import { helpText, type OptionValues, readOptions } from '../lib/options.ts';
import { reportInstall } from './install-report.ts';
import { INSTALL_OPTIONS, INSTALL_SWITCHES, installOptions } from './program-options.ts';

const USAGE =
  'install: drops INVALID TCP packets in this network namespace.\n' +
  'Exit 0: they are dropped, or mode is observe. 1: they are not. 2: an option is wrong.';
const log = makeLog('install', (line) => process.stdout.write(line));

async function run(values: OptionValues<typeof INSTALL_OPTIONS>): Promise<boolean> {
  const environment = withLockFile(process.env, process.argv[1] ?? '/');
  const read = makeRulesetReader(values['command-timeout'] * 1000);
  const result = await install(read, installOptions(values, environment));
  reportInstall(log, result);
  return result.guarded;
}

function fail(error: unknown): string {
  const described = describeError(error);
  log('error', 'failed', described);
  return described.code;
}

async function main(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  // Read before the options are: in observe mode a wrong option must not block the pod.
  let observe = env[POD_OPTIONS.mode.env] === 'observe';
  try {
    const { values, given } = readOptions(INSTALL_OPTIONS, argv, env, INSTALL_SWITCHES);
    observe = values.mode === 'observe';
    if (given.has('help')) {
      process.stdout.write(helpText(USAGE, INSTALL_OPTIONS));
      return 0;
    }
    return (await run(values)) || observe ? 0 : 1;
  } catch (error) {
    const code = fail(error);
    if (observe) return 0;
    return code.startsWith('OPTION') ? 2 : 1;
  }
}

// A reader of the log that has gone ends nothing.
process.stdout.on('error', () => undefined);
// At once: what is printed has been written, for Node writes to files and pipes synchronously on Linux.
main(process.argv.slice(2), process.env).then((exitCode) => process.exit(exitCode));
