// `make test-kernels`: boots each kernel and runs the kernel tests in it; prints one TAP report.
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CodedError } from '../../lib/errors.ts';
import { readOptions } from '../../lib/options.ts';
import { killAll, must } from '../harness/netns/processes.ts';
import { packProject } from './guest.ts';
import { readFates, type SeenOnKernel, updatePage } from './kernel-table.ts';
import { chooseKernels, type KernelFiles, OPTIONS } from './kernels.ts';
import { ownProcessors } from './machine-turns.ts';
import { prepare } from './prepare-guests.ts';
import { runKernel } from './run-kernel.ts';
import { inSubtest, Turns, takeTurns } from './tap-report.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = `${ROOT}docs/kernels.md`;
/**
 * Milliseconds for one kernel. A random ruleset takes up to 2 s more where the machine is emulated, a changed connection
 * half a second.
 */
const WHOLE = 2_100_000;
const RULESET = 2000;
const CONNECTION = 500;
/**
 * For an emulated machine on shared processors. Node's compile cache saves about half of the processor time of each
 * start; containers do not get these variables.
 */
const ENVIRONMENT = { PATIENCE: '3', NODE_COMPILE_CACHE: '/tmp/compiled' };
/**
 * Run only where TESTS has a test's whole name. Tests of the harness do not depend on the kernel, nor does how the agent
 * finds namespaces and tells of them. Those of the rescue at its limits start thousands of programs, which takes too long
 * where they are emulated; connections are rescued in never-worse too. So do those of the agent's guard and of its resets.
 * Those of other meshes need Go, and their rules meet the same kernel functions as Istio's; those of networks have the connections
 * of stray-kinds, beside rules of a node.
 */
const LEFT_OUT = [
  'entered-namespace.test.ts',
  'harness.test.ts',
  'rescue.test.ts',
  ...['guard', 'process', 'resets', 'sandbox'].map((part) => `node-agent-${part}.test.ts`),
  ...['never-worse', 'uploads', 'verdicts', 'writers'].map((part) => `mesh-${part}.test.ts`),
  ...['', '-near', '-liberal'].map((part) => `node-networks${part}.test.ts`),
];
/** The slowest test prints nothing for a minute and a half. */
const SILENCE = 360_000;

/** Emulated machines that run at the same time. Each has one processor. */
const AT_ONCE = 3;
/** Lines of a guest's report that are shown as progress too. */
const PROGRESS = /^( {4})?(not )?ok |^ *(#|ok \d+ -) .*(RULESETS|rulesets|CONNECTIONS|connections)/;

const print = (line: string) => process.stdout.write(`${line}\n`);
const started = Date.now();
const tell = (text: string) => process.stderr.write(`${((Date.now() - started) / 1000).toFixed(0)} s: ${text}\n`);

async function testFiles(parts: string[]): Promise<string[]> {
  const files = (await readdir(`${ROOT}test/netns`)).filter(
    (name) => name.endsWith('.test.ts') && (!LEFT_OUT.includes(name) || parts.includes(name)),
  );
  const inside = ['missing-modules', 'demo-in-vm'].map((name) => `test/kernel-vms/inside/${name}.ts`);
  const wanted = [...inside, ...files.sort().map((name) => `test/netns/${name}`)];
  return wanted.filter((file) => parts.some((part) => file.includes(part)));
}

async function main(folder: string): Promise<boolean> {
  const { values } = readOptions(OPTIONS, process.argv.slice(2), process.env);
  const tests = await testFiles(values.tests.split(','));
  const whole = WHOLE + values.rulesets * RULESET + values.connections * CONNECTION;
  const env = {
    ...ENVIRONMENT,
    TAP_TIMEOUT: String(whole / 1000),
    RULESETS: String(values.rulesets),
    CONNECTIONS: String(values.connections),
    SEED: values.seed,
  };
  tell('the guest: Debian, Node and the project');
  const limits = { whole, silence: SILENCE };
  const processors = ownProcessors();
  const kernels = chooseKernels(values.kernel, await must('git', ['rev-parse', 'HEAD'], { cwd: ROOT }));
  if (values.kernel === 'turn') print(`# ${kernels[0]?.name}, in this commit's turn: KERNEL=all takes all of them`);
  const project = await packProject(ROOT, folder, { files: tests, env, limit: whole });
  const { machine, files } = await prepare(kernels, process.env);
  const seen: SeenOnKernel[] = [];
  let allOk = true;
  const turns = new Turns(print);
  print('TAP version 14');
  await takeTurns(kernels, AT_ONCE, async (kernel, turn) => {
    const { release } = files[turn] as KernelFiles;
    const run = { ...machine, files: files[turn] as KernelFiles, project, tests, limits, processors };
    tell(`${release} (${machine.accelerator})`);
    turns.say(turn, `# Subtest: ${release}`);
    const { printed, ok } = await runKernel(run, `${folder}/${kernel.name}`, (line) => {
      turns.say(turn, inSubtest(line));
      if (PROGRESS.test(line)) tell(line.trim());
    });
    turns.say(turn, `${ok ? '' : 'not '}ok ${turn + 1} - ${release}`);
    turns.end(turn);
    seen.push({ series: kernel.series, fates: readFates(printed) });
    allOk &&= ok;
  });
  const docsOk = await checkDocs(
    seen.filter(({ fates }) => fates.size > 0),
    values.docs,
  );
  print(`${docsOk ? '' : 'not '}ok ${kernels.length + 1} - docs/kernels.md shows what was seen`);
  print(`1..${kernels.length + 1}`);
  return allOk && docsOk;
}

/** Whether the page shows what was seen; `write` changes it. True where nothing was seen. */
async function checkDocs(seen: SeenOnKernel[], todo: string): Promise<boolean> {
  if (seen.length === 0) return true;
  const page = await readFile(PAGE, 'utf8');
  const wanted = updatePage(page, seen);
  if (todo === 'write') await writeFile(PAGE, wanted);
  return todo === 'write' || page === wanted;
}

const folder = mkdtempSync(`${tmpdir()}/invalid-drop-kernels-`);
process.once('exit', () => {
  killAll();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
try {
  process.exitCode = (await main(folder)) ? 0 : 1;
} catch (error) {
  print(`Bail out! ${error instanceof CodedError || error instanceof Error ? error.message : error}`);
  // Another machine may still run.
  process.exit(1);
}
