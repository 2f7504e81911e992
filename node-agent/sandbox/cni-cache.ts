// The CNI library's result cache of the node, kept in memory: which pod has which network namespace.
import { constants, type Stats } from 'node:fs';
import { lstat, open, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../lib/log.ts';
import { parseCniCacheEntry } from './cni-cache-entry.ts';
import { FolderWatch } from './folder-watch.ts';
import type { CachedSandbox } from './sandbox-choice.ts';

interface CniCacheSettings {
  folder: string;
  /** Called with the UID of the pod whose entry appeared, changed or went; null where the entry has no UID. */
  onChange(uid: string | null): void;
  log: Log;
  /** Milliseconds between two looks at the whole folder: inotify loses events where its queue is full. */
  lookPeriod?: number;
  /** Milliseconds between two looks at whether the folder is still the same. */
  checkPeriod?: number;
  limits?: typeof LIMITS;
}

/** Bytes. Files are mostly 1 to 5 KiB; the plugins' configuration in them makes the difference. */
const MAX_BYTES = 262_144;
/** Names looked at, and files kept, the newest: a runtime that cannot delete leaves files of pods long gone. */
const LIMITS = { names: 16_384, files: 4096 };
/** Names that wait to be read. Beyond, the whole folder is: of one that is too large, a new file may then be missed. */
const MAX_CHANGED = 16_384;
const LOOK_PERIOD = 60_000;
/** Symbolic links are refused, and a pipe must not make the open wait for a writer. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What was there, so that a file is read again only where it changed. */
interface ReadFile {
  stamp: string;
  writtenAt: number;
  entry: CachedSandbox | undefined;
}

export class CniCache {
  private readonly settings: CniCacheSettings;
  private readonly limits: typeof LIMITS;
  private readonly watch: FolderWatch;
  private readonly files = new Map<string, ReadFile>();
  private readonly changed = new Set<string>();
  private everything = false;
  private timer: NodeJS.Timeout | undefined;
  private reading: Promise<void> | undefined;
  private stopped = false;
  private tooManyLogged = false;

  constructor(settings: CniCacheSettings) {
    this.settings = settings;
    const { folder, log, checkPeriod, limits = LIMITS } = settings;
    this.limits = limits;
    const onName = (name: string | null) => this.note(name);
    this.watch = new FolderWatch({ folder, log, onName, ...(checkPeriod !== undefined && { checkPeriod }) });
  }

  /** Resolves when all files have been read; `onChange` is called for each of their pods. */
  async start(): Promise<void> {
    this.timer = setInterval(() => this.note(null), this.settings.lookPeriod ?? LOOK_PERIOD).unref();
    await this.watch.start();
    await this.reading;
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    this.watch.stop();
  }

  /** Entries of all pods, in no order. */
  entries(): CachedSandbox[] {
    return [...this.files.values()].flatMap(({ entry }) => entry ?? []);
  }

  /** Events that come while files are read are taken together. */
  private note(name: string | null): void {
    if (this.stopped) return;
    if (name === null || this.changed.size >= MAX_CHANGED) this.everything = true;
    else this.changed.add(name);
    this.reading ??= this.readChanged();
  }

  private async readChanged(): Promise<void> {
    while (!this.stopped && (this.everything || this.changed.size > 0)) {
      const names = [...this.changed];
      const everything = this.everything;
      this.changed.clear();
      this.everything = false;
      for (const name of names) await this.read(name, await found(this.pathOf(name)));
      if (everything) await this.readAll();
    }
    // At once, not when the promise resolves: what is noted between the two would wait for the next event.
    this.reading = undefined;
  }

  private async readAll(): Promise<void> {
    const present: { name: string; file: Stats }[] = [];
    for (const name of await this.names()) {
      const file = await found(this.pathOf(name));
      if (file) present.push({ name, file });
    }
    const newest = present.toSorted((a, b) => b.file.mtimeMs - a.file.mtimeMs).slice(0, this.limits.files);
    const kept = new Set(newest.map(({ name }) => name));
    for (const name of this.files.keys()) if (!kept.has(name)) this.set(name, undefined);
    for (const { name, file } of newest) await this.read(name, file);
  }

  /** Those that are known come first: a folder that is too large must not make the agent forget a pod. */
  private async names(): Promise<Set<string>> {
    const names = new Set(this.files.keys());
    try {
      for await (const { name } of await opendir(this.settings.folder)) {
        if (names.size >= this.limits.names) break;
        names.add(name);
      }
    } catch {
      // There is no folder, or it went while it was read: FolderWatch tells when it is back.
    }
    if (names.size >= this.limits.names && !this.tooManyLogged) {
      this.tooManyLogged = true;
      this.settings.log('warn', 'cni-cache-too-large', { folder: this.settings.folder, looked_at: this.limits.names });
    }
    return names;
  }

  private async read(name: string, file: Stats | undefined): Promise<void> {
    if (!file) return this.set(name, undefined);
    const stamp = [file.ino, file.size, file.mtimeMs, file.ctimeMs].join(':');
    if (this.files.get(name)?.stamp === stamp) return;
    // What is no file is not even opened: opening a device can do something.
    const text = file.isFile() ? await readText(this.pathOf(name)) : undefined;
    const entry = text === undefined ? undefined : parseCniCacheEntry(text);
    // The loopback device has an entry of its own, which says nothing.
    const useful = entry && entry.ifName !== 'lo' ? { ...entry, writtenAt: file.mtimeMs } : undefined;
    this.set(name, { stamp, writtenAt: file.mtimeMs, entry: useful });
  }

  private set(name: string, file: ReadFile | undefined): void {
    const before = this.files.get(name)?.entry;
    if (file) this.files.set(name, file);
    else this.files.delete(name);
    if (this.files.size > this.limits.files) this.dropOldest();
    const entry = file?.entry;
    if (this.stopped || JSON.stringify(before) === JSON.stringify(entry)) return;
    const uids = [before, entry].flatMap((one) => (one ? [one.podUid] : []));
    for (const uid of new Set(uids)) this.settings.onChange(uid);
  }

  private dropOldest(): void {
    const [oldest] = [...this.files].reduce((a, b) => (a[1].writtenAt <= b[1].writtenAt ? a : b));
    this.files.delete(oldest);
  }

  private pathOf(name: string): string {
    return join(this.settings.folder, name);
  }
}

function found(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}

/** A regular file's text; undefined for anything else, for one that is too large, and where it cannot be read. */
async function readText(path: string): Promise<string | undefined> {
  const file = await open(path, FLAGS).catch(() => undefined);
  try {
    const stats = await file?.stat();
    if (!file || !stats?.isFile() || stats.size > MAX_BYTES) return undefined;
    // A file that grows meanwhile is read as it was; the event of its change follows.
    const { buffer, bytesRead } = await file.read(Buffer.alloc(stats.size), 0, stats.size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return undefined;
  } finally {
    await file?.close().catch(() => undefined);
  }
}
