// An instance of tracefs of its own with one event enabled, so that no other tracing on the node is affected.
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../command.ts';
import { allows } from '../file-access.ts';
import { parseFormat, type TraceFormat } from './trace-line.ts';

const EVENT = 'events/tcp/tcp_send_reset';
/** More than the kernel gives in one read. */
const CHUNK = 65_536;
/** Milliseconds for mount and umount. */
const COMMAND_LIMIT = 5000;

/**
 * Where tracefs may be: in the container, or in the node's file system by process 1 or `kubectl debug node` (/host).
 */
const TRACEFS_PATHS = ['', '/proc/1/root', '/host'].flatMap((root) =>
  ['tracing', 'debug/tracing'].map((folder) => `${root}/sys/kernel/${folder}`),
);

export interface TraceOptions {
  /** Name of the instance. */
  name: string;
  /** Whether an instance of that name was left behind by a run that was killed, and is to be removed. */
  isLeftover(name: string): boolean;
  /** Kilobytes of the buffer of each CPU; a reset takes a tenth of one. What does not fit is lost, and counted. */
  bufferKb: number;
}

export interface TraceInstance {
  format: TraceFormat;
  /**
   * The lines since the last read, without waiting for more.
   * @param most how many lines are read, and a few more; the others stay in the kernel's buffer
   */
  readLines(most: number): string[];
  /** Ends tracing, and removes the instance and the mount. */
  close(): Promise<void>;
}

/**
 * Finds or mounts tracefs, and starts tracing in an instance of its own.
 * @throws an error whose message is the reason why that is not possible
 */
export async function openTrace(options: TraceOptions): Promise<TraceInstance> {
  const tracefs = findTracefs() ?? (await mountTracefs());
  try {
    removeLeftovers(tracefs.path, options);
    const { close, ...trace } = makeInstance(tracefs.path, options);
    return {
      ...trace,
      close: async () => {
        close();
        await tracefs.unmount();
      },
    };
  } catch (error) {
    await tracefs.unmount();
    throw error;
  }
}

interface Tracefs {
  path: string;
  unmount(): Promise<void>;
}

function findTracefs(): Tracefs | undefined {
  const path = TRACEFS_PATHS.find((path) => allows(`${path}/instances`, constants.W_OK));
  return path === undefined ? undefined : { path, unmount: async () => undefined };
}

/** Mounts tracefs on a new folder. Without shared mount propagation only this container sees the mount. */
async function mountTracefs(): Promise<Tracefs> {
  const path = makeFolder();
  const mounted = await runCommand('mount', ['-t', 'tracefs', 'tracefs', path], { timeout: COMMAND_LIMIT }).catch(
    (error: Error) => ({ exitCode: null, stderr: error.message }),
  );
  if (mounted.exitCode !== 0) {
    rmdirSync(path);
    throw notMounted(mounted.stderr.trim());
  }
  const unmount = async () => {
    await runCommand('umount', [path], { timeout: COMMAND_LIMIT });
    rmdirSync(path);
  };
  return { path, unmount };
}

function makeFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'invalid-drop-tracing-'));
  } catch (error) {
    throw notMounted((error as Error).message);
  }
}

function notMounted(why: string): Error {
  return new Error(`there is no tracefs in ${TRACEFS_PATHS[0]} and it cannot be mounted: ${why}`);
}

function makeInstance(tracefs: string, { name, bufferKb }: TraceOptions) {
  const folder = `${tracefs}/instances/${name}`;
  mkdirSync(folder);
  let pipe: number | undefined;
  const close = () => {
    if (pipe !== undefined) closeSync(pipe);
    // Disables the event too. Fails with EBUSY while the pipe is open.
    rmdirSync(folder);
  };
  try {
    const format = parseFormat(readFileSync(`${folder}/${EVENT}/format`, 'utf8'));
    const opened = openSync(`${folder}/trace_pipe`, constants.O_RDONLY | constants.O_NONBLOCK);
    pipe = opened;
    writeFileSync(`${folder}/buffer_size_kb`, String(bufferKb));
    writeFileSync(`${folder}/${EVENT}/enable`, '1');
    return { format, readLines: lineReader(opened), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reads what is available. The pipe does not block: once it is empty, a read fails with EAGAIN. */
function lineReader(pipe: number): (most: number) => string[] {
  const buffer = Buffer.alloc(CHUNK);
  let partialLine = '';
  return (most) => {
    const lines: string[] = [];
    while (lines.length < most) {
      const text = readAvailable(pipe, buffer);
      if (text === '') break;
      const parts = (partialLine + text).split('\n');
      partialLine = parts.pop() ?? '';
      lines.push(...parts);
    }
    return lines;
  };
}

function readAvailable(pipe: number, buffer: Buffer): string {
  try {
    return buffer.toString('latin1', 0, readSync(pipe, buffer));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    return '';
  }
}

function removeLeftovers(tracefs: string, { isLeftover }: TraceOptions): void {
  for (const name of readdirSync(`${tracefs}/instances`).filter(isLeftover)) {
    try {
      rmdirSync(`${tracefs}/instances/${name}`);
    } catch {
      // EBUSY: a process uses it, perhaps of another pid namespace.
    }
  }
}
