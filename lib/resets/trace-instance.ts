// An instance of tracefs of its own with one event enabled, so that no other tracing on the node is affected.
import {
  accessSync,
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
import { errors } from '../errors.ts';
import { parseFormat, type TraceFormat } from './trace-line.ts';

const EVENT = 'events/tcp/tcp_send_reset';
const PREFIX = 'invalid-drop-';
/** Size of the buffer of each CPU: room for some thousand resets between two reads. */
const BUFFER_KB = '512';
const CHUNK = 65_536;
/** Limit of chunks for one read, so that the time limit also holds under very many resets. */
const MAX_CHUNKS = 64;
/** Milliseconds for mount and umount. */
const COMMAND_LIMIT = 5000;

/**
 * Where tracefs may be: in the container, or in the node's file system by process 1 or `kubectl debug node` (/host).
 */
const TRACEFS_PATHS = ['', '/proc/1/root', '/host'].flatMap((root) =>
  ['tracing', 'debug/tracing'].map((folder) => `${root}/sys/kernel/${folder}`),
);

export interface TraceInstance {
  format: TraceFormat;
  /** The text since the last read; its last line may be incomplete. */
  read(): string;
  /** Ends tracing, and removes the instance and the mount. */
  close(): Promise<void>;
}

/**
 * Finds or mounts tracefs, and starts tracing in an instance of its own.
 * @param pid id of this process, for the instance's name
 * @throws CodedError TRACING_UNAVAILABLE
 */
export async function openTrace(pid: number): Promise<TraceInstance> {
  try {
    const tracefs = findTracefs() ?? (await mountTracefs());
    return await openIn(tracefs, pid);
  } catch (error) {
    throw errors.TRACING_UNAVAILABLE(error instanceof Error ? error.message : String(error));
  }
}

async function openIn(tracefs: Tracefs, pid: number): Promise<TraceInstance> {
  try {
    removeLeftovers(tracefs.path);
    const { close, ...trace } = makeInstance(tracefs.path, pid);
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
  const path = TRACEFS_PATHS.find((path) => {
    try {
      accessSync(`${path}/instances`, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
  return path === undefined ? undefined : { path, unmount: async () => undefined };
}

/** Mounts tracefs on a new folder. Without shared mount propagation only this container sees the mount. */
async function mountTracefs(): Promise<Tracefs> {
  const path = mkdtempSync(join(tmpdir(), 'invalid-drop-tracing-'));
  const mounted = await runCommand('mount', ['-t', 'tracefs', 'tracefs', path], { timeout: COMMAND_LIMIT }).catch(
    (error: Error) => ({ exitCode: null, stderr: error.message }),
  );
  if (mounted.exitCode !== 0) {
    rmdirSync(path);
    throw new Error(`there is no tracefs in ${TRACEFS_PATHS[0]} and it cannot be mounted: ${mounted.stderr.trim()}`);
  }
  const unmount = async () => {
    await runCommand('umount', [path], { timeout: COMMAND_LIMIT });
    rmdirSync(path);
  };
  return { path, unmount };
}

function makeInstance(tracefs: string, pid: number) {
  const folder = `${tracefs}/instances/${PREFIX}${pid}`;
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
    writeFileSync(`${folder}/buffer_size_kb`, BUFFER_KB);
    writeFileSync(`${folder}/${EVENT}/enable`, '1');
    return { format, read: () => drain(opened), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reads what is available. The pipe does not block: once it is empty, a read fails with EAGAIN. */
function drain(pipe: number): string {
  const buffer = Buffer.alloc(CHUNK);
  let text = '';
  for (let chunks = 0; chunks < MAX_CHUNKS; chunks++) {
    try {
      const length = readSync(pipe, buffer);
      if (length === 0) break;
      text += buffer.toString('latin1', 0, length);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      break;
    }
  }
  return text;
}

/** Removes the instances of earlier runs that were killed. */
function removeLeftovers(tracefs: string): void {
  for (const name of readdirSync(`${tracefs}/instances`)) {
    const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
    if (pid === undefined || isAlive(pid)) continue;
    try {
      rmdirSync(`${tracefs}/instances/${name}`);
    } catch {
      // EBUSY: a process of another pid namespace uses it.
    }
  }
}

function isAlive(pid: string): boolean {
  try {
    accessSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}
