// What `nft monitor` prints, to changes of the ruleset.

/** One committed change of the ruleset. */
export interface Change {
  /** Name and id of the process that made it, as the kernel gives them; null where it does not. */
  process: string | null;
  pid: number | null;
  /** The first few lines of what it did, as nft prints them. */
  lines: string[];
}

const MAX_LINES = 5;
/** `# new generation 3 by process 3389 (iptables-nft)` (nft 0.8 or later); the process is missing in older ones. */
const GENERATION = /^# new generation \d+(?: by process (\d+) \((.*)\))?$/;

/**
 * A parser that keeps what is not yet a whole change.
 * @returns a function from a piece of nft's output to the changes that it completes
 */
export function makeMonitorParser(): (text: string) => Change[] {
  let rest = '';
  let lines: string[] = [];
  return (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    const changes: Change[] = [];
    for (const line of parts) {
      const generation = line.match(GENERATION);
      if (generation) {
        changes.push({ process: generation[2] ?? null, pid: generation[1] ? Number(generation[1]) : null, lines });
        lines = [];
      } else if (line !== '' && lines.length < MAX_LINES) {
        lines.push(line);
      }
    }
    return changes;
  };
}
