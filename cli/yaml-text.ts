// YAML for a terminal. Loaded only where it is asked for: it comes with the client library, which is large.
import { dumpYaml } from '@kubernetes/client-node';
import { printableLines } from '../lib/printable.ts';

/** All texts stand in double quotes, in which what a terminal does not show can be escaped without another value. */
export function printableYaml(data: unknown): string {
  // By JSON first: undefined is no value of YAML.
  const plain: unknown = JSON.parse(JSON.stringify(data));
  return printableLines(dumpYaml(plain, { forceQuotes: true, quotingType: '"', lineWidth: -1 } as never));
}
