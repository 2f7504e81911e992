// The postStart hook of the one container in mode enforce: ends when the checker beside it says that the pod is guarded.
//
// It does not ask who answers. Before the containers that come later, only a sidecar that started earlier could have the
// port, and after a restart the application. While another program has it, the checker ends (PORT_TAKEN), its container is not
// up, and nothing that comes later starts, whatever was answered here. A program that says 200 and then gives the port back
// can let the next container start some milliseconds before the rule is there, not without it: the checker ends where it does
// not guard the pod.
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicNow } from '../lib/clock.ts';
import { describeError, errors } from '../lib/errors.ts';
import { helpText, readOptions } from '../lib/options.ts';
import { askNotReady } from './checker/readiness-probe.ts';
import { waitUntilReady } from './checker/wait-until-ready.ts';
import { CHECK_OPTIONS } from './program-options.ts';

const USAGE =
  'wait: ends when the checker of this pod says that the pod is guarded.\n' +
  'Exit 0: it is. 1: it is not within two minutes. 2: an option is wrong.';
const OPTIONS = { port: CHECK_OPTIONS.port };
/** Milliseconds: longer than an install takes that waits for each lock and program as long as the options have it by default. */
const LIMIT = 120_000;
/** Milliseconds for one answer. */
const ANSWER_LIMIT = 2000;

async function main(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, given } = readOptions(OPTIONS, argv, env, ['help']);
  if (given.has('help')) {
    process.stdout.write(helpText(USAGE, OPTIONS));
    return 0;
  }
  const ask = () => askNotReady(values.port, ANSWER_LIMIT);
  const reason = await waitUntilReady({ ask, pause, now: monotonicNow }, LIMIT);
  if (reason === undefined) return 0;
  tell(errors.WAIT_OVER(LIMIT / 1000, reason));
  return 1;
}

/** The kubelet shows it in the container's state.waiting.message, not in an event: one line that people read. */
function tell(error: unknown): void {
  const { code, message } = describeError(error);
  process.stdout.write(`${code}: ${message}\n`);
}

main(process.argv.slice(2), process.env).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    tell(error);
    process.exitCode = 2;
  },
);
