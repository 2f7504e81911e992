// The init container: puts the rule in, reads the ruleset back, ends.

import { startDialogue } from '../lib/command.ts';
import { POD_OPTIONS } from '../lib/contract.ts';
import { CodedError, errors } from '../lib/errors.ts';
import { makeLog } from '../lib/log.ts';
import { unguardedClasses } from '../lib/netfilter/check-report.ts';
import { type Installed, install } from '../lib/netfilter/installer.ts';
import { NftSession } from '../lib/netfilter/nft-session.ts';
import { FAMILIES } from '../lib/netfilter/programs.ts';
import { makeReader } from '../lib/netfilter/ruleset-reader.ts';
import { withLockFile } from '../lib/netfilter/xtables-lock.ts';
import { helpText, type OptionValues, readOptions } from '../lib/options.ts';
import { INSTALL_OPTIONS, INSTALL_SWITCHES } from './program-options.ts';

const USAGE =
  'install: drops INVALID TCP packets in this network namespace.\n' +
  'Exit 0: they are dropped, or mode is observe. 1: they are not. 2: an option is wrong.';
const log = makeLog('install', (line) => process.stdout.write(line));

async function run(values: OptionValues<typeof INSTALL_OPTIONS>): Promise<boolean> {
  const commandTimeout = values['command-timeout'] * 1000;
  // One nft for all looks: each new process costs a tenth of the whole.
  const session = new NftSession(
    (onText, onTrouble) => startDialogue('nft', ['-j', '-i'], onText, onTrouble),
    commandTimeout,
  );
  const installed = await install(makeReader(commandTimeout, session), {
    protocol: values.protocol,
    backend: values.backend,
    lockWait: values['lock-wait'] * 1000,
    commandTimeout,
    environment: withLockFile(process.env, process.argv[1] ?? '/'),
  }).finally(() => session.stop());
  tell(installed);
  return installed.guarded;
}

function tell({ families, look, warnings, guarded }: Installed): void {
  for (const { code, message } of warnings) log('warn', 'warning', { code, message });
  for (const family of FAMILIES) {
    const { presence } = look.families[family];
    log(families[family].action === 'failed' ? 'error' : 'info', 'family', { family, ...families[family], presence });
  }
  for (const { family, interfaceClass, interface: name, reason } of unguardedClasses(look)) {
    const { code, message } = errors.NOT_GUARDED(family, interfaceClass, reason);
    log('error', 'not-guarded', { code, message, family, interface: name });
  }
  if (guarded) log('info', 'guarded', { message: 'INVALID TCP packets are dropped' });
}

function fail(error: unknown): string {
  const code = error instanceof CodedError ? error.code : 'UNEXPECTED';
  log('error', 'failed', { code, message: error instanceof Error ? error.message : String(error) });
  return code;
}

async function main(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  // Known before the options are: in observe mode not even a wrong option holds the pod back.
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

// At once: what is printed has been written (to files and pipes Node writes synchronously on Linux), and to wait until
// the nft that was killed is gone would add to every pod's start.
main(process.argv.slice(2), process.env).then((exitCode) => process.exit(exitCode));
