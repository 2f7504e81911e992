// The shipped programs as tests run them, and what they say.
import { CHECK_COMMAND, INSTALL_COMMAND } from '../../../lib/contract.ts';
import type { Namespace } from './namespaces.ts';
import type { Program } from './processes.ts';
import { type ContainerSpec, startContainer } from './run-container.ts';

/** A container as the webhook writes it. */
export function containerSpec(program: 'install' | 'check', capabilities: string[], ...flags: string[]): ContainerSpec {
  return {
    name: `invalid-drop-${program}`,
    command: [...(program === 'install' ? INSTALL_COMMAND : CHECK_COMMAND), ...flags],
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: capabilities },
    },
  };
}

export type Event = { time: string; event: string; [key: string]: unknown };

/** The JSON lines that a program has logged so far. */
export function eventsOf({ output }: Pick<Program, 'output'>): Event[] {
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
}

/** Runs the installer to its end. */
export async function install(pod: Namespace, env: Record<string, string> = {}, capabilities = ['NET_ADMIN']) {
  const { exitCode, stdout, stderr } = await startContainer(pod, containerSpec('install', capabilities), env).end();
  const events = eventsOf({ output: stdout });
  return { exitCode, stderr, events, family: (name: string) => events.find((event) => event['family'] === name) };
}

/** Starts the checker and waits until it has looked once. */
export async function startChecker(
  pod: Namespace,
  env: Record<string, string> = {},
  capabilities = ['NET_ADMIN'],
): Promise<Program> {
  const checker = startContainer(pod, containerSpec('check', capabilities), env);
  await checker.saw(/"event":"(ready|not-guarded|check-failed)"/);
  return checker;
}

/** Gets a page from inside a namespace. */
export async function getPage(from: Namespace, url: string): Promise<{ status: number; body: string }> {
  const printed = await from.must('curl', [
    '--silent',
    '--globoff',
    '--noproxy',
    '*',
    '--write-out',
    '\n%{http_code}',
    url,
  ]);
  const end = printed.lastIndexOf('\n');
  return { status: Number(printed.slice(end + 1)), body: printed.slice(0, end) };
}
