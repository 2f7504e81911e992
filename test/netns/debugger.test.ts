// SIGUSR1 opens Node's debugger, and whoever reaches that runs code with the capabilities of the process.
import { readFile } from 'node:fs/promises';
import t from 'tap';
import {
  AGENT_COMMAND,
  CHECK_COMMAND,
  IMAGE_ENVIRONMENT,
  INSTALL_COMMAND,
  SIDECAR_COMMAND,
} from '../../lib/contract.ts';
import { IMAGES } from '../../tools/images/image-sources.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import type { NetworkNamespace } from '../harness/netns/network-namespaces.ts';
import { getPage, startChecker, startContainer } from '../harness/netns/shipped-programs.ts';

const FLAG = '--disable-sigusr1';
const SIGUSR1 = 10;
/** A program that says when it runs, and stays. */
const STAYS = "process.stdout.write('runs'); setInterval(() => undefined, 1000)";

/** Sends SIGUSR1 as another container's process would: uid 0, no capability. */
const signal = (pod: NetworkNamespace, pid: number | undefined) =>
  pod.must('setpriv', ['--inh-caps=-all', '--bounding-set=-all', 'kill', '-USR1', String(pid)]);

/** Whether the process has a handler for the signal: proc_pid_status(5), SigCgt. */
async function handles(pid: number | undefined): Promise<boolean> {
  const caught = /^SigCgt:\s*(\w+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return ((BigInt(`0x${caught}`) >> BigInt(SIGUSR1 - 1)) & 1n) === 1n;
}

kernelTest('a process without any capability opens no debugger of the checker', async (t, { pod }) => {
  const checker = await startChecker(pod);
  const control = startContainer(pod, { name: 'control', command: ['node', '-e', STAYS] });
  await control.waitForOutput(/runs/);
  t.equal(await handles(control.child.pid), true, 'the program without the flag has a handler');
  t.equal(await handles(checker.child.pid), false, 'the checker has none');
  await signal(pod, checker.child.pid);
  t.equal((await getPage(pod, 'http://127.0.0.1:15099/healthz')).status, 200, 'the checker goes on');
  t.equal((await pod.run('curl', ['--silent', 'http://127.0.0.1:9229/json'])).exitCode, 7, 'nothing listens');
  await signal(pod, control.child.pid);
  await pod.must('curl', ['--silent', '--retry', '20', '--retry-connrefused', 'http://127.0.0.1:9229/json']);
  t.match((await control.stop('SIGKILL')).stderr, /Debugger listening/, 'where it listens otherwise');
  t.equal(checker.errors, '');
});

t.test('each command that starts Node has the flag, and so has whatever kubectl exec starts', async (t) => {
  for (const command of [INSTALL_COMMAND, CHECK_COMMAND, SIDECAR_COMMAND, AGENT_COMMAND]) t.equal(command[1], FLAG);
  for (const image of IMAGES) {
    const text = await readFile(new URL(`../../${image}/Containerfile`, import.meta.url), 'utf8');
    t.match(text, new RegExp(`^ENTRYPOINT \\["node", "${FLAG}", `, 'm'), image);
    t.match(text, new RegExp(`NODE_OPTIONS=${FLAG}\\b`), image);
  }
});

t.test('the image has the environment in which the checker is small', async (t) => {
  const text = await readFile(new URL('../../init-image/Containerfile', import.meta.url), 'utf8');
  for (const [name, value] of Object.entries(IMAGE_ENVIRONMENT)) t.match(text, new RegExp(`^ +${name}=${value}$`, 'm'));
});
