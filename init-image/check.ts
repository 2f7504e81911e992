// The checker container: keeps verifying that the rule still does its job, repairs it, reports.
import { describeCheck } from '../lib/checker/checker-report.ts';
import { NamespaceChecker } from '../lib/checker/namespace-checker.ts';
import { compileForSize } from '../lib/compile-for-size.ts';
import { POD_OPTIONS } from '../lib/contract.ts';
import { describeError, errors } from '../lib/errors.ts';
import { makeLog } from '../lib/log.ts';
import { install } from '../lib/netfilter/installer.ts';
import { ownNamespace } from '../lib/netfilter/namespace-access.ts';
import { withLockFile } from '../lib/netfilter/namespace-lock.ts';
import { readEvidence } from '../lib/netfilter/proc.ts';
import { checkRuleset, summarize } from '../lib/netfilter/ruleset-check.ts';
import { makeRulesetReader } from '../lib/netfilter/ruleset-reader.ts';
import { helpText, type OptionValues, readOptions } from '../lib/options.ts';
import type { PageServer } from '../lib/page-server.ts';
import { printableJson } from '../lib/printable.ts';
import { isOnNode } from '../lib/resets/node-namespaces.ts';
import { makeCheckerServer } from './checker/checker-server.ts';
import { askReady } from './checker/readiness-probe.ts';
import { explain } from './explain/explain.ts';
import { watchNode } from './explain/node/watch-node.ts';
import { readStrayEvidence } from './explain/stray-evidence.ts';
import { CHECK_OPTIONS, CHECK_SWITCHES, installOptions } from './program-options.ts';

const USAGE = `check: keeps verifying that INVALID TCP packets are dropped in this network namespace.
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
/** Milliseconds between tries to get a port that is taken. */
const PORT_RETRY = 5000;
/** How much rarer checks are while the kernel reports every change: each costs a process. */
const REPORTED_FACTOR = 3;
const log = makeLog('check', (line) => process.stdout.write(line));

type Values = OptionValues<typeof CHECK_OPTIONS>;

async function once(values: Values): Promise<number> {
  const check = await checkRuleset(makeRulesetReader(values['command-timeout'] * 1000));
  process.stdout.write(`${printableJson(describeCheck(check, readEvidence()), 2)}\n`);
  return { guarded: 0, 'not guarded': 1, 'cannot tell': 2 }[summarize(check)];
}

/** On a terminal it shows its progress; Ctrl-C ends the watch early, with an answer. */
function explainHere(values: Values, json: boolean, node: boolean): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  // The reader of the output has gone, as with | head: what was made for the watch is removed all the same.
  process.stdout.on('error', () => stop.abort());
  const options = {
    seconds: values.seconds,
    json,
    write: (text: string) => process.stdout.write(text),
    progress: process.stderr.isTTY ? (text: string) => process.stderr.write(text) : undefined,
    stop: stop.signal,
  };
  if (node || isOnNode()) return watchNode({ ...options, pid: process.pid });
  const timeout = values['command-timeout'] * 1000;
  const readStrays = () => readStrayEvidence(values.port, timeout);
  return explain({ ...options, read: makeRulesetReader(timeout, undefined, undefined, true), readStrays });
}

async function serve(values: Values): Promise<void> {
  compileForSize();
  const read = makeRulesetReader(values['command-timeout'] * 1000);
  const environment = withLockFile(process.env, process.argv[1] ?? '/');
  const interval = values.interval * 1000;
  const checking = new NamespaceChecker(
    { mode: values.mode, onDrift: values['on-drift'], interval, reportedInterval: interval * REPORTED_FACTOR },
    {
      namespace: ownNamespace,
      read,
      install: () => install(read, installOptions(values, environment)),
      log,
      commandTimeout: values['command-timeout'] * 1000,
    },
  );
  const server = makeCheckerServer(
    () => checking.report(),
    () => checking.checker.notReady(),
  );
  await listen(server, values.port, values.mode === 'observe');
  stopOnSignal(server, checking);
  const checked = checking.start();
  if (values.rescue === 'enabled') checking.startRescue();
  await checked;
}

/**
 * All addresses: `::` takes IPv4 too, and Node falls back to 0.0.0.0 where there is no IPv6.
 * @param goesOn where the port is taken: checks, repairs and rescues need no pages
 */
function listen({ server }: PageServer, port: number, goesOn: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let told = false;
    server.on('error', (error) => {
      const taken = errors.PORT_TAKEN(port, error.message);
      if (!goesOn) return reject(taken);
      if (!told) log('warn', 'port-taken', { code: taken.code, message: taken.message });
      told = true;
      setTimeout(() => server.listen(port), PORT_RETRY).unref();
      resolve();
    });
    server.on('listening', () => {
      log('info', 'listening', { port });
      resolve();
    });
    server.listen(port);
  });
}

/** The kernel ignores signals that process 1, as in a container, does not handle. */
function stopOnSignal(server: PageServer, checking: NamespaceChecker): void {
  const stop = (signal: string) => {
    log('info', 'stopping', { signal });
    void checking.stop();
    void server.close();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

async function main(argv: string[], env: NodeJS.ProcessEnv): Promise<number | undefined> {
  const { values, given } = readOptions(CHECK_OPTIONS, argv, env, CHECK_SWITCHES);
  if (given.has('help')) {
    process.stdout.write(helpText(USAGE, CHECK_OPTIONS));
    return 0;
  }
  if (given.has('probe')) return (await askReady(values.port, PROBE_TIMEOUT)) ? 0 : 1;
  if (given.has('once')) return await once(values);
  if (given.has('explain')) return await explainHere(values, given.has('json'), given.has('node'));
  await serve(values);
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

// Nothing is held back in mode observe, whatever happens. With arguments, somebody waits for the end.
const stays = process.env[POD_OPTIONS.mode.env] === 'observe' && process.argv.length === 2;
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
