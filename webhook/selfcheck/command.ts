// `webhook.js selfcheck`: asks the webhook that runs beside it, as `kubectl exec` does.
import { get } from 'node:http';
import { errors } from '../errors.ts';
import { reportTable, type SelfcheckReport } from './report.ts';

const TIMEOUT_MS = 20_000;

/**
 * Prints the report as a table.
 * @param port the plain port of the webhook on this host
 * @returns exit code: 0 all is well, 1 a check failed
 * @throws CodedError SELFCHECK_UNREACHABLE
 */
export async function printSelfcheck(port: number, print: (text: string) => void): Promise<number> {
  const report = await ask(port);
  print(reportTable(report));
  return report.ok ? 0 : 1;
}

function ask(port: number): Promise<SelfcheckReport> {
  return new Promise((resolve, reject) => {
    const options = { host: 'localhost', port, path: '/selfcheck', signal: AbortSignal.timeout(TIMEOUT_MS) };
    const call = get(options, (response) => {
      response.toArray().then((chunks) => resolve(JSON.parse(Buffer.concat(chunks).toString())), reject);
    });
    call.on('error', (error) => reject(errors.SELFCHECK_UNREACHABLE(port, error.message)));
  });
}
