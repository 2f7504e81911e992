// The init container: puts the rule in, reads the ruleset back, ends.
import { POD_OPTIONS } from '../lib/contract.ts';
import { describeError, errors } from '../lib/errors.ts';
import { makeLog } from '../lib/log.ts';
import { type InstallResult, install } from '../lib/netfilter/installer.ts';
import { withLockFile } from '../lib/netfilter/namespace-lock.ts';
import { FAMILIES } from '../lib/netfilter/packet.ts';
import { unguardedClasses } from '../lib/netfilter/ruleset-check.ts';
import { makeRulesetReader } from '../lib/netfilter/ruleset-reader.ts';
import { helpText, type OptionValues, readOptions } from '../lib/options.ts';
import { INSTALL_OPTIONS, INSTALL_SWITCHES, installOptions } from './program-options.ts';

const USAGE =
  'install: drops INVALID TCP packets in this network namespace.\n' +
  'Exit 0: they are dropped, or mode is observe. 1: they are not. 2: an option is wrong.';
const log = makeLog('install', (line) => process.stdout.write(line));

async function run(values: OptionValues<typeof INSTALL_OPTIONS>): Promise<boolean> {
  const environment = withLockFile(process.env, process.argv[1] ?? '/');
  const read = makeRulesetReader(values['command-timeout'] * 1000);
  const result = await install(read, installOptions(values, environment));
  report(result);
  return result.guarded;
}

function report({ families, exemption, check, warnings, guarded }: InstallResult): void {
  for (const { code, message } of warnings) log('warn', 'warning', { code, message });
  for (const family of FAMILIES) {
    const { status } = check.families[family];
    log(families[family].action === 'failed' ? 'error' : 'info', 'family', { family, ...families[family], status });
  }
  log(exemption.action === 'failed' ? 'warn' : 'info', 'exemption', { ...exemption });
  for (const { family, interfaceClass, interface: name, reason } of unguardedClasses(check)) {
    const { code, message } = errors.NOT_GUARDED(family, interfaceClass, reason);
    log('error', 'not-guarded', { code, message, family, interface: name });
  }
  if (guarded) log('info', 'guarded', { message: 'INVALID TCP packets are dropped' });
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
