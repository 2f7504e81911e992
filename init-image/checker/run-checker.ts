// The checker as a program that stays: its pages, its checks and repairs, and with --install the first install.
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { NamespaceChecker } from '../../lib/checker/namespace-checker.ts';
import { monotonicNow } from '../../lib/clock.ts';
import { runCommand } from '../../lib/command.ts';
import { compileForSize, giveBackMemory } from '../../lib/compile-for-size.ts';
import { describeError, errors } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { type InstallResult, install } from '../../lib/netfilter/installer.ts';
import { type NamespaceAccess, ownNamespace } from '../../lib/netfilter/namespace-access.ts';
import { withLockFile } from '../../lib/netfilter/namespace-lock.ts';
import { makeRulesetReader } from '../../lib/netfilter/ruleset-reader.ts';
import type { PageServer } from '../../lib/page-server.ts';
import { reportInstall } from '../install-report.ts';
import { type CheckValues, installOptions } from '../program-options.ts';
import { makeCheckerServer } from './checker-server.ts';
import { installFirst } from './first-install.ts';
import { startHook } from './start-hook.ts';

/** Milliseconds between tries to get a port that is taken. */
const PORT_RETRY = 5000;
/** Milliseconds for the first install: its hook waits a little longer, and no log tells of what ends there. */
const INSTALL_LIMIT = 110_000;
/** Milliseconds until a monitor that was started listens for certain. */
const RECHECK_AFTER = 1000;
/** How much rarer checks are while the kernel reports every change: each costs a process. */
const REPORTED_FACTOR = 3;

/**
 * Starts the checker, which ends at SIGTERM or SIGINT.
 * @param installs whether it puts the rule in before it checks, as the container does that takes the init container's place.
 *   Each start does so, also one that follows a crash, and also where drift is only reported: nothing tells it from the
 *   first. What is there already is left as it is.
 * @returns after the first check; with `installs` in mode enforce it ends the process where that does not guard the pod
 * @throws CodedError PORT_TAKEN and HOOK_UNHEARD, in mode enforce
 */
export async function runChecker(values: CheckValues, installs: boolean, log: Log): Promise<void> {
  compileForSize();
  const commandTimeout = values['command-timeout'] * 1000;
  const interval = values.interval * 1000;
  const programs = new AbortController();
  const namespace = endedBy(programs.signal);
  const read = makeRulesetReader(commandTimeout, namespace);
  const options = installOptions(values, withLockFile(process.env, process.argv[1] ?? '/'));
  const put = () => install(read, options, namespace);

  /** At once, whatever runs: a transaction of iptables or nft is carried out as a whole, or not at all. */
  const end = (exitCode: number): never => {
    void checking.stop();
    programs.abort();
    process.exit(exitCode);
  };
  const reportTry = (done: InstallResult | { code: string; message: string }) =>
    'guarded' in done ? reportInstall(log, done) : log('error', 'failed', done);
  const putFirst = async (): Promise<InstallResult> => {
    if (values.mode === 'enforce')
      return (await installFirst({ put, report: reportTry, pause, now: monotonicNow })) ?? end(1);
    const result = await put();
    reportInstall(log, result);
    return result;
  };
  const checking = new NamespaceChecker(
    { mode: values.mode, onDrift: values['on-drift'], interval, reportedInterval: interval * REPORTED_FACTOR },
    {
      namespace,
      read,
      install: (found) => (found === undefined ? putFirst() : put()),
      log,
      commandTimeout,
      installsFirst: installs,
      ...(installs && { monitorsLater: true, recheckAfter: RECHECK_AFTER }),
    },
  );
  // The kernel ignores signals that process 1, as in a container, does not handle.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log('info', 'stopping', { signal });
      end(0);
    });
  }
  const server = makeCheckerServer(
    () => checking.report(),
    () => checking.checker.notReady(),
  );
  const held = installs && values.mode === 'enforce';
  const letGo = held ? startHook(`${dirname(process.argv[1] ?? '/')}/ready`) : undefined;
  // Before the install: a port that is taken ends the container before anything is changed.
  await listen(server, values.port, values.mode === 'observe', log);
  const giveUp = () => {
    const reason = checking.checker.notReady() ?? '';
    log('error', 'failed', describeError(errors.INSTALL_OVERDUE(INSTALL_LIMIT / 1000, reason)));
    end(1);
  };
  const overdue = held ? setTimeout(giveUp, INSTALL_LIMIT) : undefined;
  const checked = checking.start();
  if (values.rescue === 'enabled') checking.startRescue();
  await checked;
  clearTimeout(overdue);
  letGo?.();
  giveBackMemory();
}

/** This process's namespace, with programs that end when the signal is given. */
function endedBy(signal: AbortSignal): NamespaceAccess {
  return { ...ownNamespace, run: (command, args, options) => runCommand(command, args, { ...options, signal }) };
}

/**
 * All addresses: `::` takes IPv4 too, and Node falls back to 0.0.0.0 where there is no IPv6.
 * @param goesOn where the port is taken: checks, repairs and rescues need no pages
 */
function listen({ server }: PageServer, port: number, goesOn: boolean, log: Log): Promise<void> {
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
