import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { pidsIn } from '../harness/netns/network-namespaces.ts';
import { isRunning, Program } from '../harness/netns/processes.ts';
import { until } from '../harness/wait-until.ts';

const MAIN = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));
const text = (path: string) => readFile(path, 'utf8').catch(() => '');

/** Command lines of what the demo has started, by process id: its children, and all in its namespaces. */
async function startedBy(demo: number): Promise<Map<number, string>> {
  const children = (await text(`/proc/${demo}/task/${demo}/children`)).split(' ').filter((pid) => pid !== '');
  const inside = await Promise.all((await namespacesOf(demo)).map(pidsIn));
  const commands = new Map<number, string>();
  for (const pid of [...children.map(Number), ...inside.flat()]) {
    commands.set(pid, (await text(`/proc/${pid}/cmdline`)).replaceAll('\0', ' '));
  }
  return commands;
}

async function namespacesOf(demo: number): Promise<string[]> {
  const names = await readdir('/run/netns').catch(() => []);
  return names.filter((name) => name.startsWith(`idrop-${demo}-`));
}

for (const [stage, command, signal, exitCode] of [
  ['while a pod is admitted', /webhook\.js/, 'SIGTERM', 143],
  ['while small requests are sent', /exchange-peer\.ts/, 'SIGTERM', 143],
  ['during an upload', /upload\.ts/, 'SIGINT', 130],
  ['while the checker runs', /xtables-monitor/, 'SIGTERM', 143],
] as const) {
  kernelTest(`a demo that is interrupted ${stage} leaves nothing behind`, async (t) => {
    const folder = t.testdir({});
    const demo = new Program(process.execPath, [MAIN], { env: { PATH: process.env['PATH'], TMPDIR: folder } });
    const pid = demo.child.pid ?? 0;
    let started = new Map<number, string>();
    await until(stage, async () => {
      started = await startedBy(pid);
      return [...started.values()].some((line) => command.test(line));
    });
    t.not((await readdir(folder)).length, 0, 'it has a folder for the CA');
    t.equal((await demo.stop(signal)).exitCode, exitCode, demo.output + demo.errors);
    t.same(await readdir(folder), []);
    t.same(await namespacesOf(pid), []);
    for (const [one, line] of started) {
      await until(`ended: ${line}`, async () => !(await isRunning(one)));
    }
  });
}
