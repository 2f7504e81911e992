// The node agent's program. Only wires: reads options, builds the parts, connects them to signals and sockets.
import { once } from 'node:events';
import { constants } from 'node:fs';
import { backoffMs, type Reflection, reflect } from '../lib/cluster/reflector.ts';
import { connectServiceAccount, type NodeClient } from '../lib/cluster/service-account-client.ts';
import { compileForSize } from '../lib/compile-for-size.ts';
import { OPT_IN_LABEL, OPT_IN_VALUES, VERSION } from '../lib/contract.ts';
import { describeError, errors } from '../lib/errors.ts';
import { allows } from '../lib/file-access.ts';
import { askLocal } from '../lib/local-request.ts';
import { makeLog, structuredLog } from '../lib/log.ts';
import { metricText } from '../lib/metric-text.ts';
import { withLockFile } from '../lib/netfilter/namespace-lock.ts';
import { helpText, type OptionValues, readOptions } from '../lib/options.ts';
import { printableJson } from '../lib/printable.ts';
import { AGENT_OPTIONS, AGENT_SWITCHES, SELFCHECK_OPTIONS } from './agent-options.ts';
import { EnteredNamespace } from './guard/entered-namespace.ts';
import { readLiberal } from './guard/liberal-conntrack.ts';
import { NamespaceGuard } from './guard/namespace-guard.ts';
import { ProgramSlots } from './guard/program-slots.ts';
import { shareRulesets } from './guard/shared-rulesets.ts';
import { makeAgentServer } from './pages/agent-pages.ts';
import { type AgentReport, agentTable, type GuardNumbers } from './pages/agent-report.ts';
import { StartTimes } from './pages/start-times.ts';
import { podProjection, projectNamespace } from './pods/node-pod.ts';
import { PodGuards } from './pods/pod-guards.ts';
import { RESET_METRICS } from './resets/reset-metrics.ts';
import { ResetWatch } from './resets/reset-watch.ts';
import type { WatchedNamespace } from './resets/watched-namespace.ts';
import { SandboxFinder } from './sandbox/sandbox-finder.ts';
import { ConditionWriter } from './status/condition-writer.ts';

const USAGE = `Usage: agent.js [options]
       agent.js selfcheck [--pod NAMESPACE/NAME]

Guards the pods of its node, from outside of them.
selfcheck asks the agent that runs on this host, prints what it knows of each pod, and exits with 0 (all is well) or 1.`;
/** Milliseconds between two looks at what costs nothing. */
const TICK = 5000;
/** nft, iptables and the like in all pods together. */
const PROGRAMS_AT_ONCE = 4;
/** What small buffers share: docs/decisions/0013. */
const BUFFER_POOL = 8192;
const OPTED_IN = `${OPT_IN_LABEL} in (${OPT_IN_VALUES.join(',')})`;

type Values = OptionValues<typeof AGENT_OPTIONS>;

const log = makeLog('agent', (line) => process.stdout.write(line));
const now = () => performance.now();

async function serve(values: Values): Promise<void> {
  compileForSize();
  Buffer.poolSize = BUFFER_POOL;
  const client = connectServiceAccount({
    folder: values['service-account'],
    host: process.env['KUBERNETES_SERVICE_HOST'],
    port: process.env['KUBERNETES_SERVICE_PORT'],
  });
  const starts = new StartTimes();
  const watchFailures = { pods: 0, namespaces: 0 };
  const timeout = values['command-timeout'] * 1000;
  const slots = new ProgramSlots(PROGRAMS_AT_ONCE);
  const keeping = shareRulesets();
  const environment = withLockFile(process.env, process.argv[1] ?? '/');
  const conditions = new ConditionWriter({ client, log: structuredLog(log), now, date: Date.now, retryDelay });
  const finder: SandboxFinder = new SandboxFinder({
    cniCache: values['cni-cache'],
    netnsFolder: values['netns-folder'],
    nodeAddresses: () => guards.nodeAddresses(),
    commandTimeout: timeout,
    onChange: (uid) => guards.sandboxChanged(uid),
    log,
  });
  const guards: PodGuards<NamespaceGuard> = new PodGuards<NamespaceGuard>({
    nodeMode: values['node-mode'],
    finder,
    makeGuard: ({ namespace, name: pod, options }, sandbox, changed) =>
      new NamespaceGuard(sandbox, options, {
        log: (level, event, details) => log(level, event, { namespace, pod, ...details }),
        onChange: changed,
        commandTimeout: timeout,
        interval: values.interval * 1000,
        procSysNet: values['proc-sys-net'],
        slots,
        keeping,
        environment,
      }),
    isLiberal: (sandbox) =>
      readLiberal(new EnteredNamespace(sandbox, { slots, procSysNet: values['proc-sys-net'], timeout })),
    conditions,
    noteStart: (seconds) => starts.note(seconds),
    log,
    now,
  });
  await finder.start();
  const { pods, namespaces } = startWatches(client, guards, values, watchFailures);
  const resets =
    values.resets === 'enabled' ? new ResetWatch({ namespaces: () => watchedNamespaces(guards), log, now }) : undefined;
  const ticking = setInterval(() => guards.tick(), TICK);
  const server = makeAgentServer<NamespaceGuard>({
    facts: () => ({
      node: values['node-name'],
      nodeMode: values['node-mode'],
      listed: { pods: pods.synced(), namespaces: namespaces.synced() },
      watchFailures,
      folders: { cniCache: isReadable(values['cni-cache']), netns: isReadable(values['netns-folder']) },
      conditions: { results: conditions.results, waiting: conditions.waiting() },
      pods: [...guards.outcomes()],
      numbersOf,
    }),
    notReady: () => {
      if (!guards.listedAll()) return 'pods and namespaces have not been listed yet';
      return guards.settled() ? undefined : 'pods that were there at the start have not been checked yet';
    },
    starts,
    furtherMetrics: () => (resets === undefined ? '' : metricText(RESET_METRICS, resets.counts())),
  });
  stopOnSignal(async () => {
    clearInterval(ticking);
    conditions.stop();
    finder.stop();
    guards.stop();
    await Promise.all([resets?.stop(), pods.stop(), namespaces.stop(), server.close()]);
  });
  await once(server.server.listen(values.port), 'listening').catch((error: Error) => {
    throw errors.AGENT_PORT_TAKEN(values.port, error.message);
  });
  void resets?.start();
  log('info', 'serving', { version: VERSION, node: values['node-name'], port: values.port });
}

/** The pods of this node, and of all namespaces those that are opted in. */
function startWatches(
  client: NodeClient,
  sinks: Pick<PodGuards<NamespaceGuard>, 'pods' | 'namespaces'>,
  values: Values,
  failures: { pods: number; namespaces: number },
): { pods: Reflection; namespaces: Reflection } {
  const node = values['node-name'];
  const configured = {
    mode: values.mode,
    protocol: values.protocol,
    onDrift: values['on-drift'],
    rescue: values.rescue,
    beLiberal: values['be-liberal'],
  };
  const namespaces = reflect({
    client,
    path: '/api/v1/namespaces',
    query: { labelSelector: OPTED_IN },
    what: 'namespaces',
    project: projectNamespace,
    sink: sinks.namespaces,
    log: structuredLog(log),
    retryDelay: counted(failures, 'namespaces'),
  });
  const pods = reflect({
    client,
    path: '/api/v1/pods',
    query: { fieldSelector: `spec.nodeName=${node}` },
    what: 'pods',
    project: podProjection(node, configured),
    sink: sinks.pods,
    log: structuredLog(log),
    retryDelay: counted(failures, 'pods'),
  });
  return { pods, namespaces };
}

function watchedNamespaces(guards: PodGuards<NamespaceGuard>): WatchedNamespace[] {
  return [...guards.outcomes()].flatMap(({ pod, sandbox, guard }) => {
    if (sandbox === undefined || guard === undefined) return [];
    const { state, reason } = guard.state;
    return {
      ...{ id: String(sandbox.inode), namespace: pod.namespace, pod: pod.name, addresses: pod.addresses },
      netPath: (file) => guard.netPath(file),
      guard: { guarded: state === 'guarded', drift: guard.drift, reason },
    };
  });
}

function numbersOf(guard: NamespaceGuard): GuardNumbers {
  const { prevented, drift, repairs, repairFailures, strays, beLiberal, countsSince } = guard.report();
  const { rescued, peers } = strays;
  const dropped = { ipv4: prevented.ipv4.packets, ipv6: prevented.ipv6.packets };
  return { dropped, drift, repairs, repairFailures, rescued, peers, since: countsSince, liberal: beLiberal.set };
}

/** Milliseconds. New pods wait for the agent, so it asks again soon where the API server was away. */
const LONGEST_RETRY = 8000;
const retryDelay = (failures: number) => backoffMs(failures, Math.random(), LONGEST_RETRY);

function counted<Name extends string>(counts: Record<Name, number>, name: Name): (failures: number) => number {
  return (failures) => {
    counts[name] += 1;
    return retryDelay(failures);
  };
}

const isReadable = (folder: string) => allows(folder, constants.R_OK | constants.X_OK);

/** The kernel ignores signals that process 1, as in a container, does not handle. Rules and conditions stay. */
function stopOnSignal(stop: () => Promise<void>): void {
  const once = (signal: string) => {
    log('info', 'stopping', { signal });
    void stop().finally(() => process.exit());
  };
  process.once('SIGTERM', once);
  process.once('SIGINT', once);
}

/** @returns exit code: 0 all is well, 1 something is not, or there is no such pod */
async function selfcheck(argv: string[], print: (text: string) => void): Promise<number> {
  const { values } = readOptions(SELFCHECK_OPTIONS, argv, process.env);
  const path = values.pod === '' ? '/selfcheck' : `/selfcheck?pod=${encodeURIComponent(values.pod)}`;
  const body = await askLocal(values.port, path, 'application/json', errors.AGENT_UNREACHABLE);
  if (values.pod === '') {
    const report = JSON.parse(body) as AgentReport;
    print(agentTable(report));
    return report.ok ? 0 : 1;
  }
  if (!body.startsWith('{')) {
    print(body);
    return 1;
  }
  print(`${printableJson(JSON.parse(body), 2)}\n`);
  return 0;
}

async function main(argv: string[]): Promise<void> {
  const print = (text: string) => void process.stdout.write(text);
  if (argv[0] === 'selfcheck') {
    process.exitCode = await selfcheck(argv.slice(1), print);
    return;
  }
  const { values, given } = readOptions(AGENT_OPTIONS, argv, process.env, AGENT_SWITCHES);
  if (given.has('help')) print(helpText(USAGE, AGENT_OPTIONS));
  else await serve(values);
}

// A reader of the log that has gone ends nothing.
process.stdout.on('error', () => undefined);
main(process.argv.slice(2)).catch((error: unknown) => {
  log('error', 'failed', describeError(error));
  process.exit(2);
});
