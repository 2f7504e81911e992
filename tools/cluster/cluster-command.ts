// A Kubernetes for tests, of one node or several: each runs in a network namespace of its own, and nothing stays behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { killComponent, readComponent, startComponent, stopComponent } from './cluster-components.ts';
import { errors, failCommand } from './cluster-errors.ts';
import { loadImage } from './cluster-images.ts';
import { type Layout, layoutOf } from './cluster-layout.ts';
import { bringUp, isUp, takeDown } from './cluster-lifecycle.ts';
import { enterNetwork, environmentOf } from './cluster-node.ts';
import { readSettings, type Settings } from './cluster-settings.ts';

const say = (text: string) => process.stdout.write(`${text}\n`);
const CHANGES = { start: startComponent, stop: stopComponent, kill: killComponent };

async function up(layout: Layout, settings: Settings): Promise<void> {
  const controller = new AbortController();
  const interrupt = () => controller.abort(errors.CLUSTER_INTERRUPTED(layout.name));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, interrupt);
  const tell = process.stdout.isTTY ? say : () => undefined;
  const isNew = await bringUp(layout, settings, tell, controller.signal);
  say(`cluster "${layout.name}" ${isNew ? 'is' : 'was'} up; its kubeconfig is ${layout.kubeconfig}
reach it from its network namespace:
  node tools/cluster/cluster-command.ts run -- kubectl get pods --all-namespaces
  node tools/cluster/cluster-command.ts shell`);
}

async function status(layout: Layout): Promise<void> {
  if (!(await isUp(layout))) throw errors.CLUSTER_NOT_UP(layout.name);
  say(`cluster "${layout.name}" is up`);
}

/** Runs a command in the cluster's network with this program's own input and output, and ends as it does. */
async function runIn(layout: Layout, command: string[]): Promise<void> {
  const own = environmentOf(layout);
  const env = { ...process.env, ...own, PATH: `${layout.bin}:${process.env['PATH']}` };
  const [program = '', ...args] = enterNetwork(layout, command);
  const child = spawn(program, args, { stdio: 'inherit', env });
  // The child gets it from the terminal too.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = await once(child, 'exit');
  process.exitCode = code ?? 1;
}

async function load(layout: Layout, archive: string, image: string): Promise<void> {
  await loadImage(layout, archive, image);
  say(`loaded ${image} from ${archive}`);
}

async function main([command = '', ...args]: string[]): Promise<void> {
  const settings = readSettings(process.env);
  const layout = layoutOf(settings.name);
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) throw errors.CLUSTER_NOT_ROOT(uid);
  const [first = '', second = ''] = args;
  if (command === 'up') return up(layout, settings);
  if (command === 'down') return takeDown(layout);
  if (command === 'status') return status(layout);
  if (command === 'shell') return runIn(layout, [process.env['SHELL'] || 'bash']);
  if (command === 'run') return runIn(layout, first === '--' ? args.slice(1) : args);
  if (command === 'load') return load(layout, first, second);
  const named = readComponent(layout, first);
  if (Object.hasOwn(CHANGES, command) && named)
    return CHANGES[command as keyof typeof CHANGES](named.node, named.component);
  throw errors.CLUSTER_COMMAND_UNKNOWN([command, ...args].join(' '));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  failCommand(error);
}
