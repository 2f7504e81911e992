// `kubectl invalid-drop coverage`: which pods of opted-in namespaces are guarded, and why the others are not.
import type { CoverageReport } from '../webhook/coverage/coverage-report.ts';
import { coverageTable } from '../webhook/coverage/coverage-report.ts';
import { defineCommand, EXIT } from './cli-command.ts';
import { errors } from './cli-errors.ts';
import { formatResult } from './output.ts';
import { askWebhook, jsonOf, type WebhookAnswer } from './webhook-pages.ts';

export const coverageCommand = defineCommand({
  name: 'coverage',
  summary: 'prints which pods are guarded, and why the others are not',
  usage: `Usage: kubectl invalid-drop coverage [-n NAMESPACE | -A] [-o table|wide|json|yaml]

Asks the webhook, in its pod, about the pods of all opted-in namespaces, or of one. -o wide adds what to do about each pod that is not
guarded. Exit 0: the report is printed, whatever it says.`,
  options: {},
  switches: {},
  positionals: 0,
  async run({ values, given }, { connect, print }) {
    const only = given.has('all-namespaces') ? '' : values.namespace;
    const path = only === '' ? '/coverage' : `/coverage?namespace=${only}`;
    const report = coverageOf(path, await askWebhook(await connect(), path, 'application/json'));
    print(await formatResult(values.output, report, (wide) => coverageTable(report, wide)));
    return EXIT.well;
  },
});

/** @throws CodedError COVERAGE_OFF or PAGE_UNEXPECTED */
export function coverageOf(path: string, answer: WebhookAnswer): CoverageReport {
  const report = jsonOf(path, answer);
  if (report['code'] === 'COVERAGE_OFF') throw errors.COVERAGE_OFF();
  const lists = ['namespaces', 'notGuarded', 'refused'].every((key) => Array.isArray(report[key]));
  if (answer.status !== 200 || !lists) throw errors.PAGE_UNEXPECTED(path, answer.status, answer.body.slice(0, 100));
  return report as unknown as CoverageReport;
}
