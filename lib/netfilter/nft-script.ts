// Commands for nft, as one transaction.
import { type ProgramOutput, type RunCommand, runCommand } from '../command.ts';

/**
 * Runs commands of nft. They are one argument, for nft 0.9.8 cannot open a standard input that is a socket, as a child
 * process has.
 * @param script commands by line; below 128 KiB (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h)
 * @param timeout milliseconds
 * @returns what nft printed; nothing has changed where its exit code is not 0
 * @throws CodedError as runCommand
 */
export function runNftScript(script: string, timeout: number, run: RunCommand = runCommand): Promise<ProgramOutput> {
  return run('nft', [script], { timeout });
}
