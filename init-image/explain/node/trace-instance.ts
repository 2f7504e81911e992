// A private instance of tracefs with the one event on: nothing else on the node sees or is disturbed by it.
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
import { runCommand } from '../../../lib/command.ts';
import { errors } from '../../../lib/errors.ts';
import { type Format, parseFormat } from './trace-line.ts';

const EVENT = 'events/tcp/tcp_send_reset';
const PREFIX = 'invalid-drop-';
/** For each CPU: some thousand resets between two reads. */
const BUFFER_KB = '512';
const CHUNK = 65_536;
/** Chunks that one read takes at most, so that a storm of resets cannot keep the program from its time limit. */
const MAX_CHUNKS = 64;
const COMMAND_LIMIT = 5000;

/** Where tracefs may be: the container's own, or the node's by way of process 1 or of `kubectl debug node`. */
const PLACES = ['', '/proc/1/root', '/host'].flatMap((root) =>
  ['tracing', 'debug/tracing'].map((folder) => `${root}/sys/kernel/${folder}`),
);

export interface TraceInstance {
  format: Format;
  /** What was printed since the last read; the last line may be half. */
  read(): string;
  /** Ends tracing and takes everything away that was made. */
  close(): Promise<void>;
}

/** @throws CodedError TRACING_UNAVAILABLE */
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
    sweep(tracefs.path);
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
  const path = PLACES.find((place) => {
    try {
      accessSync(`${place}/instances`, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  });
  return path === undefined ? undefined : { path, unmount: async () => undefined };
}

/** On a folder of its own. The mount is seen in this container only, if mounts are not shared with the node's. */
async function mountTracefs(): Promise<Tracefs> {
  const path = mkdtempSync(join(tmpdir(), 'invalid-drop-tracing-'));
  const mounted = await runCommand('mount', ['-t', 'tracefs', 'tracefs', path], { timeout: COMMAND_LIMIT }).catch(
    (error: Error) => ({ exitCode: null, stderr: error.message }),
  );
  if (mounted.exitCode !== 0) {
    rmdirSync(path);
    throw new Error(`there is no tracefs in ${PLACES[0]} and it cannot be mounted: ${mounted.stderr.trim()}`);
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
    // Ends the event too. EBUSY while the pipe is open.
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

/** All that is there now. A read that would wait fails with EAGAIN, so that no thread is ever held. */
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

/** Removes what a run that was killed has left. */
function sweep(tracefs: string): void {
  for (const name of readdirSync(`${tracefs}/instances`)) {
    const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
    if (pid === undefined || isAlive(pid)) continue;
    try {
      rmdirSync(`${tracefs}/instances/${name}`);
    } catch {
      // In use after all: by a process of another pid namespace.
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
