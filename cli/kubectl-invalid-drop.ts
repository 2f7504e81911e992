// `kubectl invalid-drop`: the operator's command. Only wires: the process's arguments, streams and signals.
import { printable, printableLines } from '../lib/printable.ts';
import { COMMANDS } from './commands.ts';
import { runCommandLine } from './run-command.ts';

const note = (text: string) => void process.stderr.write(`${printable(text)}\n`);
const stop = new AbortController();
// A second signal ends the process at once.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
// A reader that goes away, such as head, is no error of the command.
process.stdout.on('error', () => undefined);

const code = runCommandLine(process.argv.slice(2), COMMANDS, {
  env: process.env,
  connect: async (where) => (await import('./connect.ts')).connectCli(where),
  print: (text) => void process.stdout.write(text),
  note,
  progress: process.stderr.isTTY ? (text) => void process.stderr.write(printableLines(text)) : undefined,
  stop: stop.signal,
});
code.then((exitCode) => {
  process.exitCode = exitCode;
});
