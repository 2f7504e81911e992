// Looks into a named network namespace of the node: what it is, and which addresses it holds.
import { existsSync, type Stats, statSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunCommand, runCommand } from '../../lib/command.ts';
import { describeError } from '../../lib/errors.ts';
import { parseFibTrie, parseIfInet6 } from '../../lib/netfilter/local-addresses.ts';
import { canonicalAddress } from './cni-cache-entry.ts';

/** A network namespace that may be a pod's. */
export interface InspectedNamespace {
  path: string;
  /** The namespace's identity, as in net:[4026532180]. The kernel gives it to another one when this one is gone. */
  inode: number;
  /** Own addresses, without loopback and link-local ones. */
  addresses: string[];
}

/** Why a file is not the namespace of a pod, in words. */
export interface RefusedNamespace {
  refused: string;
}

export interface InspectorSettings {
  /** Where the node's folder of named namespaces is mounted. */
  netnsFolder: string;
  /** Addresses of the node: status.hostIPs of its pods. They may become known later. */
  nodeAddresses(): string[];
  /** Inode of the node's own network namespace, where it is known. */
  nodeNamespace?: number | undefined;
  /** Milliseconds. */
  commandTimeout: number;
  run?: RunCommand;
}

/** NET_NS_INIT_INO of include/uapi/linux/nsfs.h: since Linux 6.18. Before it is no inode that a namespace could have. */
export const INITIAL_NAMESPACE = 0xeffffff9;
/**
 * Registered for init_net alone (net_core_table of net/core/sysctl_net_core.c, as against netns_core_table), so that
 * it is seen in the machine's initial network namespace only.
 */
export const ONLY_IN_INITIAL = '/proc/sys/net/core/netdev_max_backlog';
/** The first one has a head in every namespace; fib_trie is empty where there is no address. */
const FILES = ['/proc/self/net/dev', '/proc/self/net/fib_trie', '/proc/self/net/if_inet6', ONLY_IN_INITIAL];
/** Namespaces that are entered at the same time, so that an agent that starts does not start a process for each pod. */
const AT_ONCE = 4;

/**
 * Tells whether a file is a network namespace that may be a pod's.
 *
 * The node's own must never be taken for one: a rule there would drop packets that the node forwards. Without hostPID
 * the agent has no /proc/1/ns/net to compare with, and the node's namespace may have a name in the folder (`ip netns
 * attach`, and some CNI plugins). So each of these refuses a namespace, and any one of them would do:
 * - the caller takes only what holds the address of one pod, which is an address of the node for host-network pods only;
 * - it holds an address of the node, whichever kernel and however nested: nodes that are containers have namespaces
 *   that are like those of pods in all other respects;
 * - its inode is that of the initial namespace (since Linux 6.18), or the one that the caller knows;
 * - it has a sysctl that only the initial namespace has, on any kernel. Where the agent sees that one in its own
 *   namespace, which is a pod's, a later kernel gives it to all, and it tells nothing.
 */
export class NamespaceInspector {
  private readonly settings: InspectorSettings;
  private readonly own = statSync('/proc/self/ns/net');
  private readonly tellsInitial = !existsSync(ONLY_IN_INITIAL);
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(settings: InspectorSettings) {
    this.settings = settings;
  }

  /** What tells a file's namespace from an earlier one with the same name or inode; undefined for any other file. */
  async identify(name: string): Promise<{ inode: number; stamp: string } | undefined> {
    const file = await this.stat(name);
    return file && this.isNamespace(file) ? { inode: file.ino, stamp: `${file.ino}:${file.ctimeMs}` } : undefined;
  }

  /** Enters the namespace of a file in the folder. Never throws. */
  async inspect(name: string): Promise<InspectedNamespace | RefusedNamespace> {
    if (this.running >= AT_ONCE) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running++;
    try {
      return await this.look(name);
    } finally {
      // The next one takes this one's place.
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }

  private async look(name: string): Promise<InspectedNamespace | RefusedNamespace> {
    const path = join(this.settings.netnsFolder, name);
    const file = await this.stat(name);
    if (!file) return { refused: `${path} is not there` };
    if (!this.isNamespace(file)) return { refused: `${path} is not a namespace` };
    if (file.ino === this.own.ino) return { refused: `${path} is the agent's own network namespace` };
    if (file.ino === INITIAL_NAMESPACE || file.ino === this.settings.nodeNamespace)
      return { refused: `${path} is the node's own network namespace` };
    const entered = await this.enter(path);
    if ('refused' in entered) return entered;
    // Another namespace may have come in its place meanwhile.
    if ((await this.stat(name))?.ino !== file.ino) return { refused: `${path} changed while it was read` };
    const { addresses, isInitial } = entered;
    if (isInitial && this.tellsInitial) return { refused: `${path} is the node's own network namespace` };
    const ofNode = this.settings.nodeAddresses().find((one) => addresses.includes(canonicalAddress(one) ?? one));
    if (ofNode !== undefined) return { refused: `${path} holds ${ofNode}, an address of the node` };
    return { path, inode: file.ino, addresses };
  }

  private async enter(path: string): Promise<{ addresses: string[]; isInitial: boolean } | RefusedNamespace> {
    try {
      const { run = runCommand, commandTimeout } = this.settings;
      const { stdout, stderr } = await run('nsenter', [`--net=${path}`, 'cat', ...FILES], { timeout: commandTimeout });
      // No exit code tells: cat does not find the sysctl mostly, nor if_inet6 where the kernel has no IPv6.
      if (!stdout.startsWith('Inter-|'))
        return { refused: `${path} cannot be entered: ${stderr.trim().split('\n')[0] ?? ''}` };
      const addresses = [...parseFibTrie(stdout), ...parseIfInet6(stdout)];
      // No line of the other files is a number alone.
      return { addresses: [...new Set(addresses)], isInitial: /^\d+$/m.test(stdout) };
    } catch (error) {
      return { refused: `${path} cannot be entered: ${describeError(error).message}` };
    }
  }

  /** All namespace files, of whatever kind, are on the kernel's one nsfs. nsenter refuses those of another kind. */
  private isNamespace(file: Stats): boolean {
    return file.isFile() && file.dev === this.own.dev;
  }

  /** A symbolic link is not followed: it may lead anywhere. */
  private stat(name: string): Promise<Stats | undefined> {
    return lstat(join(this.settings.netnsFolder, name)).catch(() => undefined);
  }
}
