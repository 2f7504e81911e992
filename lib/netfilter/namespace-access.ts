// How a network namespace is reached: this process's own, or another one that programs are run in.
import { networkInterfaces } from 'node:os';
import { type RunCommand, runCommand, type StartCommand, startCommand } from '../command.ts';
import { type NamespaceLock, takeNamespaceLock } from './namespace-lock.ts';
import type { Family } from './packet.ts';
import { readProcFile } from './proc-file.ts';

/** All that the parts which read, write and watch a ruleset need of a network namespace. */
export interface NamespaceAccess {
  /** Runs a program in it to its end. */
  run: RunCommand;
  /** Starts a program in it that stays. */
  start: StartCommand;
  /**
   * Text of a file of its /proc/net, such as `stat/nf_conntrack`; undefined where the kernel has no such file.
   * @throws CodedError where the namespace cannot be seen now
   */
  readNet(file: string): string | undefined;
  /** Path of a file of its /proc/net, for what is read in part. @throws as readNet */
  netPath(file: string): string;
  /** A file below /proc/sys/net; undefined where there is none. Of another namespace as it was read last. */
  readSysctl(path: string): string | undefined;
  /** Addresses of the interfaces that are up, loopback's among them. @throws as readNet */
  addresses(): Record<Family, string[]>;
  /** Keeps other runs of ours out: see takeNamespaceLock. */
  lock(limit: number): Promise<NamespaceLock>;
}

const netPath = (file: string) => `/proc/net/${file}`;

function ownAddresses(): Record<Family, string[]> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const ofFamily = (name: 'IPv4' | 'IPv6') => all.filter(({ family }) => family === name).map(({ address }) => address);
  return { ipv4: ofFamily('IPv4'), ipv6: ofFamily('IPv6') };
}

/** The network namespace of this process. */
export const ownNamespace: NamespaceAccess = {
  run: runCommand,
  start: startCommand,
  readNet: (file) => readProcFile(netPath(file)),
  netPath,
  readSysctl: (path) => readProcFile(`/proc/sys/net/${path}`),
  addresses: ownAddresses,
  lock: takeNamespaceLock,
};
