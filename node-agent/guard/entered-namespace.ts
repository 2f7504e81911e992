// A pod's network namespace from outside: programs enter it by nsenter, and /proc shows it by a child that lives in it.
import type { ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { type RunCommand, runCommand, type StartCommand, startCommand } from '../../lib/command.ts';
import { errors } from '../../lib/errors.ts';
import { memoryBudget } from '../../lib/memory-budget.ts';
import { localAddresses } from '../../lib/netfilter/local-addresses.ts';
import { PORT_RANGE } from '../../lib/netfilter/local-sockets.ts';
import type { NamespaceAccess } from '../../lib/netfilter/namespace-access.ts';
import type { NamespaceLock } from '../../lib/netfilter/namespace-lock.ts';
import type { Family } from '../../lib/netfilter/packet.ts';
import { BE_LIBERAL } from '../../lib/netfilter/proc.ts';
import { readProcFile } from '../../lib/netfilter/proc-file.ts';
import type { ProgramSlots } from './program-slots.ts';

/** A network namespace's file, and the identity that whoever found it has verified. */
export interface GuardedNamespace {
  path: string;
  inode: bigint | number;
}

export interface EnteredNamespaceOptions {
  slots: ProgramSlots;
  /** The node's /proc/sys/net, writable: it shows the network namespace of whoever opens a file there. */
  procSysNet: string;
  /** Milliseconds until a child must have entered. */
  timeout: number;
}

/**
 * Bytes of a file of /proc/net, and of what a program prints: a pod writes what stands there, and all pods share the agent.
 * Some files have 153 bytes for each CPU of the node.
 */
const MAX_FILE = 262_144;
const MAX_OUTPUT = 2_097_152;
/** Bytes of address space for a program that stays: nft monitor keeps a copy of all sets, which a pod may fill. */
const MAX_LASTING = 33_554_432;
/** Milliseconds between looks whether a child has entered. */
const ENTRY_PERIOD = 2;
/** Children that are started for one read, where each ends before it has entered. */
const MAX_STARTS = 3;

export class EnteredNamespace implements NamespaceAccess {
  /** Whether its programs go before those of other namespaces. */
  urgent = true;
  /** Open for as long as it is used: whatever happens to its path, programs enter this namespace. */
  private file: number | undefined;
  /** Children that were started in it. One that has not entered yet is still in the agent's own namespace. */
  private children: ChildProcess[] = [];
  private viewer: ChildProcess | undefined;
  /** Stands in where no other child lives in it. */
  private holder: ChildProcess | undefined;
  private sysctls = new Map<string, string>();
  private locked: Promise<void> = Promise.resolve();
  private readonly namespace: GuardedNamespace;
  private readonly options: EnteredNamespaceOptions;

  constructor(namespace: GuardedNamespace, options: EnteredNamespaceOptions) {
    this.namespace = namespace;
    this.options = options;
  }

  /** @throws CodedError NAMESPACE_GONE where its file is missing, or is another namespace's */
  open(): void {
    if (this.file !== undefined) return;
    let file: number;
    try {
      file = openSync(this.namespace.path, 'r');
    } catch {
      throw errors.NAMESPACE_GONE(this.namespace.path);
    }
    if (BigInt(fstatSync(file).ino) !== BigInt(this.namespace.inode)) {
      closeSync(file);
      throw errors.NAMESPACE_GONE(this.namespace.path);
    }
    this.file = file;
  }

  /** Whether its file is still there, which the container runtime removes at the end of the pod. */
  isThere(): boolean {
    return inodeOf(this.namespace.path) === BigInt(this.namespace.inode);
  }

  /** Lets go of it. Children that others have started are theirs to end. */
  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
    this.holder?.kill('SIGKILL');
    this.children = [];
    this.viewer = undefined;
  }

  readonly run: RunCommand = (command, args, options) => {
    const memory = options.memory ?? memoryBudget();
    const limited = { ...options, memory: { ...memory, output: Math.min(memory.output, MAX_OUTPUT) } };
    return this.options.slots.run(this.urgent, async () =>
      runCommand('nsenter', enter(command, args), { ...limited, file: this.opened() }),
    );
  };

  readonly start: StartCommand = (command, args, onText, onEnd) => {
    const limited = [`--as=${MAX_LASTING}`, command, ...args];
    const child = startCommand('nsenter', enter('prlimit', limited), onText, onEnd, this.opened());
    this.children.push(child);
    return child;
  };

  private opened(): number {
    if (this.file === undefined) throw errors.NAMESPACE_GONE(this.namespace.path);
    return this.file;
  }

  /**
   * Waits until a child of ours is in it, by which /proc/net can be read. Starts one where there is none.
   * @throws CodedError NAMESPACE_GONE, NAMESPACE_UNSEEN
   */
  async makeVisible(): Promise<void> {
    const began = performance.now();
    let starts = 0;
    while (!this.isVisible() || this.viewer === this.holder) {
      this.children = this.children.filter(isAlive);
      const inside = this.children.filter(({ pid }) => inodeOf(`/proc/${pid}/ns/net`) === BigInt(this.namespace.inode));
      this.viewer = inside.find((child) => child !== this.holder) ?? inside[0];
      if (this.viewer) break;
      const passed = performance.now() - began;
      // Where none may enter, each ends at once.
      if (this.children.length === 0) starts++;
      if (passed > this.options.timeout || starts > MAX_STARTS) throw errors.NAMESPACE_UNSEEN(Math.ceil(passed));
      if (this.children.length === 0) this.holder = this.start('sleep', ['infinity'], ignore, ignore);
      await wait(ENTRY_PERIOD);
    }
    if (this.viewer === this.holder) return;
    this.holder?.kill('SIGKILL');
    this.holder = undefined;
  }

  /** Whether /proc/net can be read now. */
  isVisible(): boolean {
    return isAlive(this.viewer);
  }

  netPath(file: string): string {
    if (!this.isVisible()) throw errors.NAMESPACE_UNSEEN(0);
    return `/proc/${this.viewer?.pid}/net/${file}`;
  }

  readNet(file: string): string | undefined {
    const text = readProcFile(this.netPath(file), MAX_FILE + 1);
    if (text !== undefined && text.length > MAX_FILE) throw errors.NAMESPACE_TOO_LARGE(file, MAX_FILE);
    return text;
  }

  readSysctl(path: string): string | undefined {
    return this.sysctls.get(path);
  }

  /** Reads those sysctls that are asked for: no child shows them, so that a program has to. */
  async readSysctls(): Promise<void> {
    const { procSysNet, timeout } = this.options;
    const paths = [PORT_RANGE, BE_LIBERAL].map((path) => `${procSysNet}/${path}`);
    const { stdout } = await this.run('cat', paths, { timeout });
    // The second file is missing until conntrack is loaded. One has two numbers, the other one.
    const range = stdout.match(/^\d+\s+\d+$/m)?.[0];
    const liberal = stdout.match(/^\d+$/m)?.[0];
    this.sysctls = new Map();
    if (range !== undefined) this.sysctls.set(PORT_RANGE, range);
    if (liberal !== undefined) this.sysctls.set(BE_LIBERAL, liberal);
  }

  /** @throws CodedError COMMAND_FAILED where it cannot be written */
  async writeSysctl(path: string, value: string): Promise<void> {
    const { procSysNet, timeout } = this.options;
    const { exitCode, stderr } = await this.run('tee', [`${procSysNet}/${path}`], { timeout, input: `${value}\n` });
    if (exitCode !== 0) throw errors.COMMAND_FAILED('tee', exitCode, stderr.trim().slice(0, 200));
  }

  addresses(): Record<Family, string[]> {
    return localAddresses(this.readNet('fib_trie') ?? '', this.readNet('if_inet6') ?? '');
  }

  /** Its lock is an abstract socket, which cannot be held from outside: this process is the only one of ours. */
  async lock(): Promise<NamespaceLock> {
    const before = this.locked;
    let release = ignore;
    this.locked = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return { held: true, holder: '', release };
  }
}

function ignore(): void {
  // Nothing is to be done.
}

/**
 * The child inherits the open file: by a path in the agent's /proc it might find another pod's under the same number,
 * where the agent has closed this one before the child has come to open it.
 */
function enter(command: string, args: string[]): string[] {
  return ['--net=/proc/self/fd/3', '--', command, ...args];
}

function isAlive(child: ChildProcess | undefined): child is ChildProcess {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Inode of a network namespace by one of its files; undefined where that is gone. */
function inodeOf(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}
