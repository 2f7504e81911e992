// Finds out which netfilter programs a command runs, by standing in for them on its PATH: so the reference follows
// what the installer really does, whatever it comes to do.
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { Namespace } from '../test/harness/netns/namespaces.ts';

/** One program to start, with what it reads on standard input. */
export interface Start {
  command: string;
  args: string[];
  input: string;
}

const NETFILTER = /^(nft|(ip6?|x|eb|arp)tables.*)$/;

/** Writes down name, arguments and input of each start, and lets the program that it stands for answer as it is asked. */
const STAND_IN = `#!/bin/sh
record="$RECORDS/$(date +%s%N)-$$"
printf '%s\\n' "\${0##*/}" "$@" > "$record.args"
tee "$record.input" | PATH="$REAL_PATH" "\${0##*/}" "$@"
`;

/**
 * Runs the command in the namespace, once.
 * @param folder an empty folder for the stand-ins and the records
 * @returns the netfilter programs that it ran, in the order of their starts
 */
export async function recordPrograms(
  namespace: Namespace,
  command: [string, ...string[]],
  folder: string,
): Promise<Start[]> {
  const [bin, records] = [`${folder}/bin`, `${folder}/records`];
  await Promise.all([bin, records].map((path) => mkdir(path, { recursive: true })));
  const realPath = process.env['PATH'] ?? '';
  for (const name of await installed(realPath)) {
    await writeFile(`${bin}/${name}`, STAND_IN);
    await chmod(`${bin}/${name}`, 0o755);
  }
  const env = { ...process.env, PATH: `${bin}:${realPath}`, REAL_PATH: realPath, RECORDS: records };
  const [program, ...args] = command;
  await namespace.must(program, args, { env });
  const names = (await readdir(records)).filter((name) => name.endsWith('.args')).sort();
  return Promise.all(names.map((name) => readStart(`${records}/${name.slice(0, -'.args'.length)}`)));
}

async function readStart(record: string): Promise<Start> {
  const [text, input] = await Promise.all([readFile(`${record}.args`, 'utf8'), readFile(`${record}.input`, 'utf8')]);
  const [command = '', ...args] = text.split('\n').slice(0, -1);
  return { command, args, input };
}

async function installed(path: string): Promise<string[]> {
  const lists = await Promise.all(path.split(':').map((folder) => readdir(folder).catch(() => [])));
  return [...new Set(lists.flat())].filter((name) => NETFILTER.test(name));
}
