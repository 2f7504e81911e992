// Runs our container of the admitted pod, and describes what it logged and did.

import { mkdtemp } from 'node:fs/promises';
import type { CheckerReport } from '../lib/checker/checker-report.ts';
import { CHECKER_CONTAINER, CHECKER_PORT } from '../lib/contract.ts';
import { CHAIN, RULE, TABLE } from '../lib/netfilter/drop-rule.ts';
import type { Backend } from '../lib/netfilter/model.ts';
import type { Family } from '../lib/netfilter/packet.ts';
import { ADDRESS, type Pair } from '../test/harness/netns/network-namespaces.ts';
import type { Program } from '../test/harness/netns/processes.ts';
import { eventsOf, getPage, programsAsInImage, startContainer } from '../test/harness/netns/shipped-programs.ts';
import { waitUntil } from '../test/harness/wait-until.ts';
import type { AdmittedContainer, AdmittedPod } from './demo-admission.ts';

/** What a container did: as text for the table, and whether it was what is expected. */
export interface Told {
  text: string;
  proven: boolean;
}

/** Legacy tables send no events: their ruleset is checked every 10 s. */
const REPAIR_LIMIT = 60_000;
const PAGE_LIMIT = 5000;

/**
 * Starts our container, and runs its hook to the end, before which the kubelet would start no other container.
 * @throws where the hook fails: the pod would not start
 */
export async function startOurs(
  { pod: namespace }: Pair,
  pod: AdmittedPod,
  backend: Backend,
): Promise<{ container: Program; told: Told }> {
  const spec = ourContainer(pod);
  const programs = await programsAsInImage(await mkdtemp(`${pod.folder}/programs-`));
  const container = startContainer(namespace, spec, {}, programs);
  const command = spec.lifecycle?.postStart.exec.command ?? [];
  const hook = await startContainer(namespace, { ...spec, command }, {}, programs).end();
  if (hook.exitCode !== 0) {
    const { stdout, stderr } = await container.stop();
    throw new Error(
      `the hook ended with ${hook.exitCode}: ${hook.stdout}${hook.stderr}; its container: ${stdout}${stderr}`,
    );
  }
  await container.waitForOutput(/"event":"ready"/);
  return { container, told: describeInstall(container, backend) };
}

function describeInstall(container: Program, backend: Backend): Told {
  const events = eventsOf(container);
  const families = events.filter(({ event }) => event === 'family');
  const proven =
    families.length === 2 && families.every((one) => one['action'] === 'inserted' && one['backend'] === backend);
  const exemption = events.find(({ event }) => event === 'exemption')?.['action'];
  const lacking = exemption === 'inserted' ? '' : `, exemption ${exemption}`;
  return { text: `installed (${[...new Set(families.map((one) => one['backend']))].join()}${lacking})`, proven };
}

/** Deletes the rule by iptables, and waits until the checker has put it back. */
export async function removeByHand(pair: Pair, checker: Program, backend: Backend, family: Family): Promise<Told> {
  const before = await selfcheck(pair, family);
  const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`;
  // What it logged at its start does not count.
  checker.output = '';
  await pair.pod.must(program, ['-t', TABLE, '-D', CHAIN, ...RULE.tcp.split(' ')]);
  await checker.waitForOutput(/"event":"repaired"[\s\S]*"event":"ready"/, REPAIR_LIMIT);
  // The page is made once a second at most.
  const proven = await waitUntil(async () => {
    const after = await selfcheck(pair, family);
    return after.guarded && after.ready && wasRepaired(before, after);
  }, PAGE_LIMIT);
  return { text: describeRepair(checker), proven: proven === true };
}

function wasRepaired(before: CheckerReport, after: CheckerReport): boolean {
  return (
    after.drift > before.drift &&
    after.readiness.lost > before.readiness.lost &&
    after.repairs > before.repairs &&
    after.repairFailures === before.repairFailures
  );
}

function describeRepair(checker: Program): string {
  const events = eventsOf(checker);
  const find = (name: string) => events.findLast(({ event }) => event === name);
  const by = (find('drift')?.['by'] as { process: string }[] | undefined)?.map(({ process }) => process) ?? [];
  const lost = Date.parse(find('ready')?.time ?? '') - Date.parse(find('not-ready')?.time ?? '');
  return `drift seen${by.length > 0 ? ` (by ${by.join()})` : ''}, not ready ${lost} ms, repaired`;
}

/** Asks from outside the pod, past the redirection, as the kubelet would. */
async function selfcheck({ gateway }: Pair, family: Family): Promise<CheckerReport> {
  const host = family === 'ipv4' ? ADDRESS.pod.ipv4 : `[${ADDRESS.pod.ipv6}]`;
  const { body } = await getPage(gateway, `http://${host}:${CHECKER_PORT}/selfcheck`);
  return JSON.parse(body) as CheckerReport;
}

function ourContainer(pod: AdmittedPod): AdmittedContainer {
  const container = pod.spec.initContainers.find(({ name }) => name === CHECKER_CONTAINER);
  if (!container) throw new Error(`the admitted pod has no container ${CHECKER_CONTAINER}`);
  return container;
}
