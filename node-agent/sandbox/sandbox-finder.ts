// Finds the network namespace of each pod on this node, without hostPID and without the socket of the runtime.
import { readdir } from 'node:fs/promises';
import type { Log } from '../../lib/log.ts';
import { CniCache } from './cni-cache.ts';
import { FolderWatch } from './folder-watch.ts';
import { type InspectedNamespace, type InspectorSettings, NamespaceInspector } from './namespace-inspector.ts';
import {
  addressesOf,
  candidatesOf,
  chooseCandidate,
  chooseHolder,
  holds,
  isEntryOf,
  type MissingSandbox,
  type PodIdentity,
  type Sandbox,
  type SandboxCandidate,
} from './sandbox-choice.ts';

export interface SandboxFinderSettings extends InspectorSettings {
  /** Where the folder of the CNI library's results is mounted. */
  cniCache: string;
  /**
   * Called where a pod's namespace may have come, gone or changed, also while `start` reads; null where this may be so
   * for any pod.
   */
  onChange(uid: string | null): void;
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now?: () => number;
  /** Milliseconds; for tests. */
  lookPeriod?: number;
  checkPeriod?: number;
}

/** Namespaces that the cache names for one pod and that are entered. Two are an old and a new one; more are litter. */
const MAX_CANDIDATES = 4;
/** Named namespaces that are looked through for an address. The kubelet's limit is 110 pods by default. */
const MAX_NAMESPACES = 1024;
/**
 * Milliseconds that what a namespace holds is remembered while all are looked through; what is taken is read again. Not
 * in its first seconds, in which it gets its addresses: that it lacks one would make another one that has it the only one.
 */
const [MEMORY, SETTLING] = [60_000, 10_000];
/** Namespaces handed out of which it is remembered whose they are. */
const MAX_GIVEN = 4096;

interface RememberedNamespace {
  stamp: string;
  firstSeen: number;
  readAt: number;
  addresses: string[];
}

export class SandboxFinder {
  private readonly settings: SandboxFinderSettings;
  private readonly cache: CniCache;
  private readonly inspector: NamespaceInspector;
  private readonly netnsWatch: FolderWatch;
  /** By file name, what was handed out last, so that it can be said when the file goes. */
  private readonly given = new Map<string, string>();
  private readonly remembered = new Map<string, RememberedNamespace>();
  private scanning: Promise<boolean> | undefined;

  constructor(settings: SandboxFinderSettings) {
    this.settings = settings;
    const { cniCache, netnsFolder, log, onChange, lookPeriod, checkPeriod } = settings;
    const periods = {
      ...(lookPeriod !== undefined && { lookPeriod }),
      ...(checkPeriod !== undefined && { checkPeriod }),
    };
    this.cache = new CniCache({ folder: cniCache, log, onChange, ...periods });
    this.inspector = new NamespaceInspector(settings);
    const onName = (name: string | null) => void this.noteNamespace(name);
    this.netnsWatch = new FolderWatch({ folder: netnsFolder, log, onName, ...periods });
  }

  /** Resolves when the CNI cache has been read. */
  async start(): Promise<void> {
    await Promise.all([this.cache.start(), this.netnsWatch.start()]);
  }

  stop(): void {
    this.cache.stop();
    this.netnsWatch.stop();
  }

  /**
   * The pod's network namespace as of now. Ask again when `onChange` names the pod, and when its status has other
   * addresses. Never throws.
   */
  async find(pod: PodIdentity): Promise<Sandbox | MissingSandbox> {
    const sandbox = (await this.findByCache(pod)) ?? (await this.findByAddresses(pod));
    if (!('missing' in sandbox)) this.remember(sandbox, pod);
    return sandbox;
  }

  /** Undefined where the cache names no namespace of the pod. */
  private async findByCache(pod: PodIdentity): Promise<Sandbox | MissingSandbox | undefined> {
    const candidates = candidatesOf(pod, this.cache.entries()).slice(0, MAX_CANDIDATES);
    if (candidates.length === 0) return undefined;
    const inspect = async (candidate: SandboxCandidate) => ({
      candidate,
      found: await this.inspector.inspect(candidate.netns),
    });
    return chooseCandidate(pod, await Promise.all(candidates.map(inspect)));
  }

  /** For runtimes that keep the cache elsewhere, or whose entries name no file of the folder. */
  private async findByAddresses(pod: PodIdentity): Promise<Sandbox | MissingSandbox> {
    const wanted = addressesOf(pod);
    if (wanted.length === 0)
      return { missing: "the CNI cache names no namespace of the pod, and the pod's status has no address yet" };
    if (!(await this.scan()))
      return {
        missing: `${this.settings.netnsFolder} has more than ${MAX_NAMESPACES} files, too many to look through`,
      };
    const holders: InspectedNamespace[] = [];
    for (const [name, { addresses }] of [...this.remembered]) {
      if (!holds(addresses, wanted) || this.isOfAnother(name, pod)) continue;
      const found = await this.inspector.inspect(name);
      if (!('refused' in found) && holds(found.addresses, wanted)) holders.push(found);
    }
    return chooseHolder(pod, holders);
  }

  /** A pod may give itself the address of another; its own entry says whose the namespace is. */
  private isOfAnother(netns: string, pod: PodIdentity): boolean {
    return this.cache.entries().some((entry) => entry.netns === netns && !isEntryOf(entry, pod));
  }

  /**
   * Reads what the namespaces in the folder hold. Pods that ask at the same time share one scan.
   * @returns false where there are too many
   */
  private scan(): Promise<boolean> {
    this.scanning ??= this.readFolder().finally(() => {
      this.scanning = undefined;
    });
    return this.scanning;
  }

  private async readFolder(): Promise<boolean> {
    const names = new Set(await readdir(this.settings.netnsFolder).catch((): string[] => []));
    for (const name of this.remembered.keys()) if (!names.has(name)) this.remembered.delete(name);
    if (names.size > MAX_NAMESPACES) return false;
    await Promise.all([...names].map((name) => this.readNamespace(name)));
    return true;
  }

  private async readNamespace(name: string): Promise<void> {
    const readAt = (this.settings.now ?? (() => performance.now()))();
    const stamp = (await this.inspector.identify(name))?.stamp;
    const known = this.remembered.get(name);
    const same = known?.stamp === stamp ? known : undefined;
    if (same && readAt - same.readAt < MEMORY && same.readAt - same.firstSeen >= SETTLING) return;
    const found = stamp === undefined ? undefined : await this.inspector.inspect(name);
    if (stamp === undefined || !found) this.remembered.delete(name);
    else {
      const addresses = 'refused' in found ? [] : found.addresses;
      this.remembered.set(name, { stamp, firstSeen: same?.firstSeen ?? readAt, readAt, addresses });
    }
  }

  private remember({ path }: Sandbox, { uid }: PodIdentity): void {
    const name = path.slice(path.lastIndexOf('/') + 1);
    this.given.delete(name);
    this.given.set(name, uid);
    const [oldest] = this.given.keys();
    if (this.given.size > MAX_GIVEN && oldest !== undefined) this.given.delete(oldest);
  }

  /** A namespace that goes is a change for the pod that had it, also where no cache tells. */
  private async noteNamespace(name: string | null): Promise<void> {
    for (const given of name === null ? [...this.given.keys()] : [name]) {
      const uid = this.given.get(given);
      if (uid === undefined || (await this.inspector.identify(given))) continue;
      this.given.delete(given);
      this.settings.onChange(uid);
    }
  }
}
