// The operator's command as its users run it: the bundle, with the environment's KUBECONFIG.
import { fileURLToPath } from 'node:url';
import { run } from '../netns/processes.ts';

export const CLI_PROGRAM = fileURLToPath(new URL('../../../dist/cli/kubectl-invalid_drop.cjs', import.meta.url));

/** Runs a command to its end, whatever its exit code. @param limit milliseconds */
export function runCli(args: string[], { env = {}, limit = 120_000 }: { env?: object; limit?: number } = {}) {
  return run(process.execPath, [CLI_PROGRAM, ...args], { limit, env: { ...process.env, ...env } });
}
