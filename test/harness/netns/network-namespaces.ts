// Network namespaces for one test: a pod and the gateway that sends to it, joined by a veth pair. They are removed with
// all that runs in them: at the end of a test, at the exit of an interrupted run, and after a run that could not clean
// up.

import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { killPids, must, Program, type ProgramOutput, run } from './processes.ts';

/** Addresses of the pair; private to the two namespaces. */
export const ADDRESS = {
  pod: { ipv4: '10.77.0.2', ipv6: 'fd77::2' },
  gateway: { ipv4: '10.77.0.1', ipv6: 'fd77::1' },
} as const;

export class NetworkNamespace {
  readonly name: string;

  constructor(role: string) {
    this.name = newName(role);
  }

  private enter(command: string, args: string[]): [string, string[]] {
    return ['nsenter', [`--net=/run/netns/${this.name}`, '--', command, ...args]];
  }

  /** Runs a program in the namespace to its end, whatever its exit code. */
  run(command: string, args: string[] = [], options: Parameters<typeof run>[2] = {}): Promise<ProgramOutput> {
    return run(...this.enter(command, args), options);
  }

  /** As `run`, but an exit code other than 0 is an error. */
  must(command: string, args: string[] = [], options: Parameters<typeof run>[2] = {}): Promise<string> {
    return must(...this.enter(command, args), options);
  }

  /** Starts a program in the namespace that stays. */
  start(command: string, args: string[], options: ConstructorParameters<typeof Program>[2] = {}): Program {
    return new Program(...this.enter(command, args), options);
  }

  /** Ids of the processes that are in the namespace. */
  processes(): Promise<number[]> {
    return pidsIn(this.name);
  }

  async add(): Promise<this> {
    await must('ip', ['netns', 'add', this.name]);
    await must('ip', ['-n', this.name, 'link', 'set', 'lo', 'up']);
    return this;
  }

  /** Ends what runs in it too: a program that was killed may have left its own children. */
  remove(): Promise<void> {
    return remove(this.name);
  }
}

/** Link-layer addresses of the pair. */
const LINK = { pod: '02:77:00:00:00:02', gateway: '02:77:00:00:00:01' };

export interface Pair {
  pod: NetworkNamespace;
  gateway: NetworkNamespace;
  remove(): Promise<void>;
}

/** Runs commands of `ip` one after the other in one process, in a namespace where one is named. */
function ip(lines: string[], namespace?: string): Promise<string> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  return must('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** A pod with eth0 and a gateway that reaches it, IPv4 and IPv6, with no wait for address detection. */
export async function addPair(): Promise<Pair> {
  const [pod, gateway] = [await new NetworkNamespace('pod').add(), await new NetworkNamespace('gateway').add()];
  const peer = `peer name eth0 address ${LINK.gateway} netns ${gateway.name}`;
  await ip([`link add eth0 address ${LINK.pod} netns ${pod.name} type veth ${peer}`]);
  for (const [namespace, own] of [
    [pod, ADDRESS.pod],
    [gateway, ADDRESS.gateway],
  ] as const) {
    const addresses = [`addr add ${own.ipv4}/24 dev eth0`, `addr add ${own.ipv6}/64 dev eth0 nodad`];
    await ip([...addresses, 'link set eth0 up'], namespace.name);
  }
  const remove = async () => {
    await Promise.all([pod.remove(), gateway.remove()]);
  };
  return { pod, gateway, remove };
}

/**
 * Makes the neighbour entries permanent, so that the two reach each other under a ruleset that drops neighbour
 * discovery.
 */
export async function pinNeighbours({ pod, gateway }: Pair): Promise<void> {
  for (const [namespace, peer] of [
    [pod, 'gateway'],
    [gateway, 'pod'],
  ] as const) {
    const addresses = Object.values(ADDRESS[peer]);
    const pin = (address: string) => `neigh replace ${address} lladdr ${LINK[peer]} dev eth0 nud permanent`;
    await ip(addresses.map(pin), namespace.name);
  }
}

const PREFIX = 'idrop';
let counter = 0;
const made = new Set<string>();

/** A name that no other namespace has. It is remembered before the namespace is there: making it may be interrupted. */
export function newName(role: string): string {
  const name = `${PREFIX}-${process.pid}-${++counter}-${role}`;
  made.add(name);
  return name;
}

/**
 * Ids of the processes that are in the namespace; none where there is no such namespace, and none where the name was
 * given to this process's own: all that runs on the machine would be ended with it.
 */
export async function pidsIn(name: string): Promise<number[]> {
  return isOwn(name) ? [] : readPids((await run('ip', ['netns', 'pids', name])).stdout);
}

function isOwn(name: string): boolean {
  const file = statSync(`/run/netns/${name}`, { throwIfNoEntry: false });
  return file !== undefined && file.ino === statSync('/proc/self/ns/net').ino;
}

/** Removes a namespace and ends what runs in it: a program that was killed may have left children of its own. */
export async function remove(name: string): Promise<void> {
  killPids(await pidsIn(name));
  await run('ip', ['netns', 'del', name]);
  made.delete(name);
}

/**
 * Removes every namespace that this process made and still has, at once: nothing can be waited for in an exit handler.
 */
export function removeAll(): void {
  const ip = (...args: string[]) => spawnSync('ip', ['netns', ...args], { encoding: 'utf8', timeout: 5000 });
  for (const name of made) {
    if (!isOwn(name)) killPids(readPids(ip('pids', name).stdout ?? ''));
    ip('del', name);
  }
  made.clear();
}

/** Removes namespaces of earlier runs whose process is gone. */
export async function sweep(): Promise<void> {
  const names = await readdir('/run/netns').catch(() => []);
  const stale = names.filter((name) => {
    const [prefix, pid] = name.split('-');
    return prefix === PREFIX && pid !== undefined && !isAlive(Number(pid));
  });
  await Promise.all(stale.map(remove));
}

function readPids(printed: string): number[] {
  return printed
    .split('\n')
    .filter((pid) => pid !== '')
    .map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
