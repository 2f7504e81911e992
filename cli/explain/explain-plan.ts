// How a pod is asked why its connections are reset: in a checker that runs there, or by a container that is added. Pure.
import { CHECKER_CONTAINER, GUARD_CHECKER_CONTAINER } from '../../lib/contract.ts';
import { isObject, type JsonObject, objectAt, objectsAt, shortText } from '../../lib/json.ts';
import { NO_POD_LEVEL, podLevelSettings, viewPod } from '../../lib/pod/pod-view.ts';
import { ephemeralContainer, type InjectionSettings } from '../../webhook/admission/containers.ts';

/** The container in which the program runs, or why none can. `node` is the pod's; '' where it has none. */
export type ExplainPlan =
  | { do: 'exec'; container: string }
  | { do: 'add'; name: string }
  | { do: 'refuse'; why: string; node: string };

/** Before a number: an ephemeral container cannot be removed, and its name not be used again. */
export const EXPLAIN_CONTAINER = 'invalid-drop-explain';

/** @param pod as the API server sent it */
export function planExplain(pod: JsonObject): ExplainPlan {
  const spec = objectAt(pod, 'spec');
  const node = shortText(spec['nodeName']);
  const refuse = (why: string): ExplainPlan => ({ do: 'refuse', why, node });
  const phase = shortText(objectAt(pod, 'status')['phase'], 30);
  if (phase !== 'Running') return refuse(`its phase is ${phase || 'not known'}`);
  if (spec['hostNetwork'] === true) return refuse('it is on the host network, and so has no rules of its own');
  const checker = runningChecker(pod);
  if (checker !== undefined) return { do: 'exec', container: checker };
  return { do: 'add', name: `${EXPLAIN_CONTAINER}-${nextNumber(spec)}` };
}

const CHECKERS = new RegExp(`^(?:${CHECKER_CONTAINER}|${GUARD_CHECKER_CONTAINER}-\\d{1,9})$`);

function runningChecker(pod: JsonObject): string | undefined {
  const lists = ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'];
  const statuses = lists.flatMap((list) => objectsAt(pod, 'status', list));
  const found = statuses.find(
    ({ name, state }) => CHECKERS.test(shortText(name)) && isObject(objectAt(state)['running']),
  );
  return found === undefined ? undefined : shortText(found['name']);
}

function nextNumber(spec: JsonObject): number {
  const numbers = objectsAt(spec, 'ephemeralContainers').map(({ name }) =>
    Number(new RegExp(`^${EXPLAIN_CONTAINER}-(\\d{1,9})$`).exec(shortText(name))?.[1] ?? 0),
  );
  return Math.max(0, ...numbers) + 1;
}

/** The ephemeral container: our image and capabilities, and the program that looks and changes nothing. */
export function explainContainer(pod: JsonObject, name: string, settings: InjectionSettings, command: string[]) {
  const view = viewPod(pod);
  const level = view === undefined ? NO_POD_LEVEL : podLevelSettings(view);
  return { ...ephemeralContainer(name, 'check', level, settings.options, settings), command };
}

/** The program and its arguments. @param node whether it is to watch the node that it runs on */
export function explainCommand(seconds: number, json: boolean, node: boolean): string[] {
  const flags = [...(node ? ['--node'] : []), `--seconds=${seconds}`, ...(json ? ['--json'] : [])];
  return ['node', '--disable-sigusr1', '/opt/invalid-drop/check.js', '--explain', ...flags];
}

/**
 * Runs the program as a child that is interrupted once, when standard input ends or has something: a command that was started by
 * exec cannot be sent a signal, and would go on after Ctrl-C. A child that is interrupted before it listens dies without an
 * answer: it is started again, for a second.
 */
export function interruptible(command: string[]): string[] {
  const script = `
const { spawn } = require('node:child_process');
let child, interrupted = false;
const run = ([program, ...args], again) => {
  child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  child.on('error', () => process.exit(2));
  child.on('exit', (code, signal) => {
    if (signal === 'SIGINT' && !again) run([program, ...args, '--seconds=1'], true);
    else process.exit(code ?? 2);
  });
};
const interrupt = () => { if (!interrupted) child.kill('SIGINT'); interrupted = true; };
process.stdin.on('data', interrupt).on('end', interrupt).on('error', interrupt);
run(process.argv.slice(1), false);`;
  return ['node', '--disable-sigusr1', '-e', script, '--', ...command];
}

/** Of the node, below /host: tracefs is mounted in the first, and the second tells the names of pods. */
const NODE_FOLDERS = {
  kernel: { path: '/sys/kernel', readOnly: false },
  logs: { path: '/var/log', readOnly: true },
};

export const NODE_POD = 'invalid-drop-explain';
/** Of the pods that explain --node makes, so that those of runs that were killed can be found. */
export const NODE_POD_LABELS = { 'app.kubernetes.io/name': 'invalid-drop', 'app.kubernetes.io/component': 'explain' };

/**
 * A privileged pod on one node, as `kubectl debug node --profile=sysadmin` makes it, that ends by itself.
 * @param limitSeconds after which the kubelet ends it, should nobody delete it
 */
export function nodePod(node: string, image: string, command: string[], limitSeconds: number): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${NODE_POD}-`,
      labels: NODE_POD_LABELS,
      // The webhook and the mesh leave it alone.
      annotations: { 'invalid-drop.io/inject': 'disabled', 'sidecar.istio.io/inject': 'false' },
    },
    spec: {
      nodeName: node,
      hostPID: true,
      hostNetwork: true,
      restartPolicy: 'Never',
      activeDeadlineSeconds: limitSeconds,
      terminationGracePeriodSeconds: 5,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      tolerations: [{ operator: 'Exists' }],
      volumes: Object.entries(NODE_FOLDERS).map(([name, { path }]) => ({ name, hostPath: { path } })),
      containers: [
        {
          name: 'explain',
          image,
          imagePullPolicy: 'IfNotPresent',
          command,
          securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0, readOnlyRootFilesystem: false },
          resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '256Mi' } },
          volumeMounts: Object.entries(NODE_FOLDERS).map(([name, { path, readOnly }]) => ({
            name,
            mountPath: `/host${path}`,
            readOnly,
          })),
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
    },
  };
}
