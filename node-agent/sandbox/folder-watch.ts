// Tells of changes in a folder of the node, also where the folder comes late, or is removed and made anew.
import { type FSWatcher, type Stats, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { describeError } from '../../lib/errors.ts';
import { ErrorLog, type Log } from '../../lib/log.ts';

/** Milliseconds between looks at whether the folder is still the one that is watched. */
const CHECK_PERIOD = 5000;

interface FolderWatchSettings {
  folder: string;
  /** Called with the name of what may have changed; null where anything may have. */
  onName(name: string | null): void;
  log: Log;
  checkPeriod?: number;
}

/**
 * inotify by fs.watch, renewed where the folder is another one than before. Where there is no watch, because the folder
 * is missing or the node has no inotify instance left, `onName(null)` comes with each check. Events that the kernel's
 * queue could not take are lost without a word: whoever needs every change looks for itself from time to time.
 */
export class FolderWatch {
  private readonly settings: FolderWatchSettings;
  private readonly errors: ErrorLog;
  private watcher: FSWatcher | undefined;
  private watched = '';
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private checking: Promise<void> | undefined;

  constructor(settings: FolderWatchSettings) {
    this.settings = settings;
    this.errors = new ErrorLog(settings.log);
  }

  /** Resolves when the folder is watched, or cannot be for now. */
  async start(): Promise<void> {
    this.timer = setInterval(() => void this.check(), this.settings.checkPeriod ?? CHECK_PERIOD).unref();
    await this.check();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    this.close();
  }

  /** Looks whether the folder is still the one that is watched, and watches it anew where it is not. */
  check(): Promise<void> {
    this.checking ??= this.compare().finally(() => {
      this.checking = undefined;
    });
    return this.checking;
  }

  private async compare(): Promise<void> {
    const { folder, onName } = this.settings;
    const before = await identity(folder);
    if (this.stopped || (this.watcher && before === this.watched)) return;
    this.close();
    // The folder that is opened may be another one than was looked at: only what is the same after it counts.
    if (before !== undefined && this.open()) {
      const after = await identity(folder);
      if (this.stopped) return;
      if (after === before) this.watched = before;
      else this.close();
    }
    onName(null);
  }

  private open(): boolean {
    const { folder, onName } = this.settings;
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (this.watcher !== watcher) return;
        onName(name);
        // IN_DELETE_SELF comes with the folder's own name.
        if (name === null || name === basename(folder)) void this.check();
      });
      watcher.on('error', (error) => {
        this.note(error);
        if (this.watcher === watcher) this.close();
      });
      this.watcher = watcher;
      this.errors.recovered();
      return true;
    } catch (error) {
      this.note(error);
      return false;
    }
  }

  private note(error: unknown): void {
    // It went between the look at it and the watch: the next look finds what is there then.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    this.errors.note('folder-not-watched', new Error(`${this.settings.folder}: ${describeError(error).message}`));
  }

  private close(): void {
    this.watcher?.close();
    this.watcher = undefined;
  }
}

/** Tells one folder from another; undefined where there is none. */
async function identity(folder: string): Promise<string | undefined> {
  const found: Stats | undefined = await stat(folder).catch(() => undefined);
  return found?.isDirectory() ? `${found.dev}:${found.ino}` : undefined;
}
