// The checker container: keeps verifying that the rule still does its job, repairs it, reports.
import { POD_OPTIONS } from '../lib/contract.ts';
import { describeError } from '../lib/errors.ts';
import { makeLog } from '../lib/log.ts';
import { helpText, readOptions } from '../lib/options.ts';
import { askNotReady } from './checker/readiness-probe.ts';
import { CHECK_OPTIONS, CHECK_SWITCHES } from './program-options.ts';

const USAGE = `check: keeps verifying that INVALID TCP packets are dropped in this network namespace.
  --install
           put the rule in first, and go on as the checker. In mode enforce it ends with 1 if that does not help
  --once   print the report and exit. 0: guarded, 1: not guarded, 2: cannot tell
  --probe  ask a running checker and exit. 0: ready, 1: not ready
  --explain [--seconds N] [--json]
           say whether this pod's resets are of the kind that the rule prevents, and exit.
           0: prevented, or not this; 1: suspected; 2: cannot tell
  --explain --node [--seconds N] [--json]
           on a node (kubectl debug node/NAME --profile=sysadmin; --node is implied there): name each reset that
           a pod sends, with its cause, and exit. 0: none of this kind; 1: some; 2: cannot watch
  --help   print this`;
const PROBE_TIMEOUT = 2000;
const log = makeLog('check', (line) => process.stdout.write(line));

/** What only some runs need is loaded when it is needed: pods wait for the first install, and probes come all the time. */
async function main(argv: string[], env: NodeJS.ProcessEnv): Promise<number | undefined> {
  const { values, given } = readOptions(CHECK_OPTIONS, argv, env, CHECK_SWITCHES);
  if (given.has('help')) {
    process.stdout.write(helpText(USAGE, CHECK_OPTIONS));
    return 0;
  }
  if (given.has('probe')) return (await askNotReady(values.port, PROBE_TIMEOUT)) === undefined ? 0 : 1;
  if (given.has('once')) {
    const { checkOnce } = await import('./checker/check-once.ts');
    return await checkOnce(values);
  }
  if (given.has('explain')) {
    const { runExplain } = await import('./explain/run-explain.ts');
    return await runExplain(values, given.has('json'), given.has('node'));
  }
  const { runChecker } = await import('./checker/run-checker.ts');
  await runChecker(values, given.has('install'), log);
  return undefined;
}

function reportFailure(error: unknown): void {
  log('error', 'failed', describeError(error));
}

/** The container stays as it is: one that ends makes its pod not Ready. */
function idle(): void {
  setInterval(() => undefined, 2 ** 30);
  process.once('SIGTERM', () => process.exit());
}

// Nothing is held back in mode observe, whatever happens. With other arguments, somebody waits for the end.
const isContainer = process.argv.slice(2).every((argument) => argument === '--install');
const stays = process.env[POD_OPTIONS.mode.env] === 'observe' && isContainer;
if (stays) process.on('uncaughtException', reportFailure);
// A reader of the log that has gone ends nothing.
process.stdout.on('error', () => undefined);
main(process.argv.slice(2), process.env).then(
  (exitCode) => {
    if (exitCode !== undefined) process.exitCode = exitCode;
  },
  (error: unknown) => {
    if (stays) idle();
    else process.exitCode = 2;
    reportFailure(error);
  },
);
