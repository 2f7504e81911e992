// Boots a kernel under qemu, gives what the guest reports line by line, and ends it within its limits; and finds out
// whether KVM works here. /dev/kvm alone does not prove it: nested in another machine it may hang.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Kernel } from './kernels.ts';
import { monitorOf, type Processors } from './machine-turns.ts';
import type { Qemu } from './qemu.ts';

export interface Hardware {
  architecture: Kernel['architecture'];
  qemu: Qemu;
  image: string;
  initramfs?: string;
  accelerator: 'kvm' | 'tcg';
  /** Paths of the sockets that the report comes through, and that the machine is paused through. */
  sockets?: { report: string; monitor: string };
}

export interface Machine extends Hardware {
  initramfs: string;
  sockets: { report: string; monitor: string };
  /** Milliseconds for the whole run, and without a line of the report. */
  limits: { whole: number; silence: number };
}

/** How a guest's run ended, and the end of its console. */
export interface Ended {
  why: 'exit' | 'whole' | 'silence';
  console: string;
}

/** Characters of the console that are kept. */
const KEPT = 6000;
/** Software emulation, one thread a processor. */
const TCG = ['-accel', 'tcg,thread=multi'];
const MACHINES = {
  amd64: {
    // The least that Node needs: instructions on wider registers are slow where they are emulated.
    accelerators: { kvm: ['-accel', 'kvm', '-cpu', 'host'], tcg: [...TCG, '-cpu', 'Nehalem'] },
    machine: [],
    console: 'ttyS0',
  },
  arm64: {
    // What clouds have (Graviton 2); without pointer authentication, which takes most of the time where it is emulated.
    accelerators: { kvm: ['-accel', 'kvm', '-cpu', 'host'], tcg: [...TCG, '-cpu', 'neoverse-n1'] },
    machine: ['-machine', 'virt'],
    console: 'ttyAMA0',
  },
};

/**
 * A panic ends the machine at once. The mitigations of processor faults cost an emulated machine twice the time.
 */
const CONFIGURATION = 'quiet panic=-1 mitigations=off';

/** The command of qemu. The console is on standard output, the report comes through the socket. */
export function qemuCommand(hardware: Hardware): [string, ...string[]] {
  const { architecture, qemu, image, initramfs, accelerator, sockets } = hardware;
  const { accelerators, machine, console } = MACHINES[architecture];
  const channels = sockets && [
    ...['-chardev', `socket,id=report,path=${sockets.report}`],
    ...['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=report'],
    ...['-chardev', `socket,id=monitor,path=${sockets.monitor}`, '-mon', 'chardev=monitor,mode=control'],
  ];
  return [
    qemu.program,
    ...qemu.data.flatMap((folder) => ['-L', folder]),
    ...machine,
    ...accelerators[accelerator],
    ...['-m', '3G', '-smp', '1', '-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
    ...(channels ?? []),
    ...['-kernel', image],
    ...(initramfs === undefined ? [] : ['-initrd', initramfs]),
    ...['-append', `console=${console} ${CONFIGURATION}`],
  ];
}

/**
 * Boots the machine and waits for its end.
 * @param processors what it runs on, with others
 * @param onLine called with each line of the report
 */
export async function boot(machine: Machine, processors: Processors, onLine: (line: string) => void): Promise<Ended> {
  const server = await listen(machine.sockets.report);
  const monitor = await listen(machine.sockets.monitor);
  monitor.on('connection', (socket) => socket.once('close', processors.enter(monitorOf(socket))));
  // The machine ends when this program ends.
  const command = ['--pdeathsig', 'KILL', ...qemuCommand(machine)];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  let why: Ended['why'] = 'exit';
  let seen = '';
  const end = (reason: Ended['why']) => () => {
    why = reason;
    child.kill('SIGKILL');
  };
  const whole = setTimeout(end('whole'), machine.limits.whole);
  const silence = setTimeout(end('silence'), machine.limits.silence);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      seen = (seen + text).slice(-KEPT);
    });
  }
  const reports: Promise<void>[] = [];
  server.on('connection', (socket) => {
    reports.push(readReport(socket, silence, onLine));
  });
  await closed.catch((error: Error) => {
    seen += error.message;
  });
  await Promise.all(reports);
  server.close();
  monitor.close();
  clearTimeout(whole);
  clearTimeout(silence);
  return { why, console: seen };
}

async function listen(path: string): Promise<Server> {
  await rm(path, { force: true });
  const server = createServer().listen(path);
  await once(server, 'listening');
  return server;
}

async function readReport(socket: Socket, silence: NodeJS.Timeout, onLine: (line: string) => void): Promise<void> {
  // A machine that is killed resets the connection.
  socket.on('error', () => undefined);
  for await (const line of createInterface({ input: socket })) {
    silence.refresh();
    onLine(line);
  }
}

/** Milliseconds in which a kernel without a root file system panics, several times over. */
const LIMIT = 5000;

/** Debian's names of architectures, by Node's. */
const OWN: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Boots a kernel with no file system under KVM: where KVM works it has panicked, and ended, within seconds.
 * @param image any kernel of that architecture
 */
export function chooseAccelerator(qemu: Qemu, architecture: Kernel['architecture'], image: string): 'kvm' | 'tcg' {
  if (OWN[process.arch] !== architecture || !existsSync('/dev/kvm')) return 'tcg';
  const [command, ...args] = qemuCommand({ qemu, architecture, image, accelerator: 'kvm' });
  const { stdout } = spawnSync(command, args, {
    timeout: LIMIT,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  return stdout?.includes('Kernel panic') ? 'kvm' : 'tcg';
}
