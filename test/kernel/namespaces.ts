// Network namespaces for one test: a pod and the gateway that sends to it, joined by a veth pair.
import { readdir } from 'node:fs/promises';
import { type Finished, must, Program, run } from './processes.ts';

const PREFIX = 'idrop';
let counter = 0;
const made = new Set<Namespace>();

/** Addresses of the pair; private to the two namespaces. */
export const ADDRESS = {
  pod: { ipv4: '10.77.0.2', ipv6: 'fd77::2' },
  gateway: { ipv4: '10.77.0.1', ipv6: 'fd77::1' },
} as const;

export class Namespace {
  readonly name: string;

  constructor(role: string) {
    this.name = `${PREFIX}-${process.pid}-${++counter}-${role}`;
  }

  private enter(command: string, args: string[]): [string, string[]] {
    return ['nsenter', [`--net=/run/netns/${this.name}`, '--', command, ...args]];
  }

  /** Runs a program in the namespace to its end, whatever its exit code. */
  run(command: string, args: string[] = [], options: Parameters<typeof run>[2] = {}): Promise<Finished> {
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
  async processes(): Promise<number[]> {
    return (await must('ip', ['netns', 'pids', this.name]))
      .split('\n')
      .filter((pid) => pid !== '')
      .map(Number);
  }

  async add(): Promise<this> {
    await must('ip', ['netns', 'add', this.name]);
    made.add(this);
    await must('ip', ['-n', this.name, 'link', 'set', 'lo', 'up']);
    return this;
  }

  async remove(): Promise<void> {
    await run('ip', ['netns', 'del', this.name]);
    made.delete(this);
  }
}

export interface Pair {
  pod: Namespace;
  gateway: Namespace;
  remove(): Promise<void>;
}

/** A pod with eth0 and a gateway that reaches it, IPv4 and IPv6, with no wait for address detection. */
export async function addPair(): Promise<Pair> {
  const [pod, gateway] = [await new Namespace('pod').add(), await new Namespace('gateway').add()];
  const veth = [
    'link',
    'add',
    'eth0',
    'netns',
    pod.name,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    gateway.name,
  ];
  await must('ip', veth);
  for (const [namespace, own] of [
    [pod, ADDRESS.pod],
    [gateway, ADDRESS.gateway],
  ] as const) {
    const ip = (...args: string[]) => must('ip', ['-n', namespace.name, ...args]);
    await ip('addr', 'add', `${own.ipv4}/24`, 'dev', 'eth0');
    await ip('addr', 'add', `${own.ipv6}/64`, 'dev', 'eth0', 'nodad');
    await ip('link', 'set', 'eth0', 'up');
  }
  const remove = async () => {
    await Promise.all([pod.remove(), gateway.remove()]);
  };
  return { pod, gateway, remove };
}

/** Removes every namespace that this process made and still has: for the end of an interrupted run. */
export async function removeAll(): Promise<void> {
  await Promise.all([...made].map((namespace) => namespace.remove()));
}

/** Removes namespaces of earlier runs whose process is gone. */
export async function sweep(): Promise<void> {
  const names = await readdir('/run/netns').catch(() => []);
  const stale = names.filter((name) => {
    const [prefix, pid] = name.split('-');
    return prefix === PREFIX && pid !== undefined && !alive(Number(pid));
  });
  await Promise.all(stale.map((name) => run('ip', ['netns', 'del', name])));
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
