// A result as -o asks for it.
import { printableJson, printableLines } from '../lib/printable.ts';
import type { OutputFormat } from './common-options.ts';

/**
 * @param data for json and yaml
 * @param text for table and wide; what others wrote is escaped by it, or by textTable
 * @returns with a line end; nothing in it does anything to a terminal
 */
export async function formatResult(
  format: OutputFormat,
  data: unknown,
  text: (wide: boolean) => string,
): Promise<string> {
  if (format === 'json') return `${printableJson(data, 2)}\n`;
  if (format === 'yaml') return (await import('./yaml-text.ts')).printableYaml(data);
  return printableLines(text(format === 'wide'));
}
