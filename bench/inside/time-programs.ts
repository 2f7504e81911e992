// Runs inside a namespace: starts the programs that it reads as JSON on standard input, one after the other, the way
// the installer starts its own, and prints how many milliseconds each took from start to end, or to the text that it was
// waited for.
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { runCommand, startCommand } from '../../lib/command.ts';
import type { ProgramStart } from '../install-bench.ts';

const LIMIT = 30_000;

async function time({ command, args, input, until }: ProgramStart): Promise<number> {
  if (until !== undefined) return await timeUntil(command, args, until);
  const started = performance.now();
  const { exitCode, stdout, stderr } = await runCommand(command, args, { timeout: LIMIT, input });
  const milliseconds = performance.now() - started;
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${exitCode}: ${stdout}${stderr}`);
  return milliseconds;
}

function timeUntil(command: string, args: string[], wanted: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = '';
    let milliseconds: number | undefined;
    const started = performance.now();
    const onText = (text: string) => {
      output += text;
      if (milliseconds !== undefined || !output.includes(wanted)) return;
      milliseconds = performance.now() - started;
      child.kill('SIGTERM');
    };
    const onEnd = (how: string) => {
      if (milliseconds === undefined) reject(new Error(`${command} ${args.join(' ')}: ${how}: ${output}`));
      else resolve(milliseconds);
    };
    const child = startCommand(command, args, onText, onEnd);
  });
}

const starts = JSON.parse(await text(process.stdin)) as ProgramStart[];
// The first program that a process starts takes longer: none of those that are timed is to be that one.
await time({ command: 'true', args: [], input: '' });
const times: number[] = [];
for (const start of starts) times.push(await time(start));
process.stdout.write(JSON.stringify(times));
