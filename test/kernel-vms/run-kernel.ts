// Runs the tests on one kernel, and makes its part of the report.
import { mkdir, rm } from 'node:fs/promises';
import { boot, type Ended, type Machine } from './boot.ts';
import { joinArchives } from './guest.ts';
import type { KernelFiles } from './kernels.ts';
import type { Processors } from './machine-turns.ts';
import type { Qemu } from './qemu.ts';
import { makeReport } from './tap-report.ts';

export interface Run {
  architecture: Machine['architecture'];
  qemu: Qemu;
  files: KernelFiles;
  /** Archives of the guest's first file system: Debian with Node, and the project. */
  base: string;
  project: string;
  /** Test files that the guest runs. */
  tests: string[];
  accelerator: Machine['accelerator'];
  processors: Processors;
  limits: Machine['limits'];
}

/** What a guest printed, and whether all of it passed. */
export interface Said {
  /** What it printed, as it was. */
  printed: string[];
  ok: boolean;
}

/**
 * Boots the kernel and collects its report.
 * @param folder used for the work
 * @param tell gets each line of the report as it comes, with the kernel's release in each name
 */
export async function runKernel(run: Run, folder: string, tell: (line: string) => void): Promise<Said> {
  await mkdir(folder, { recursive: true });
  const initramfs = `${folder}/initramfs`;
  await joinArchives([run.base, run.files.modules, run.project], initramfs);
  const report = makeReport(run.files.release, run.tests);
  const printed: string[] = [];
  const { architecture, qemu, accelerator, limits } = run;
  const { image } = run.files;
  const sockets = { report: `${folder}/report`, monitor: `${folder}/monitor` };
  const machine = { architecture, qemu, image, initramfs, sockets, accelerator, limits };
  const ended = await boot(machine, run.processors, (line) => {
    printed.push(line);
    report.line(line).forEach(tell);
  });
  report.end(describeEnd(ended, limits), ended.console).forEach(tell);
  await rm(folder, { recursive: true });
  return { printed, ok: report.ok() };
}

function describeEnd({ why, console }: Ended, { whole, silence }: Machine['limits']): string {
  if (why === 'whole') return `the guest was not done within ${whole / 1000} s`;
  if (why === 'silence') return `the guest reported nothing for ${silence / 1000} s`;
  return /Kernel panic/.test(console) ? 'the kernel panicked' : 'the machine ended';
}
