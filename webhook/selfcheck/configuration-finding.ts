// Whether the MutatingWebhookConfiguration is as the manifests have it, where that matters. Pure.

import { OPT_IN_LABEL, OPT_IN_VALUES, OWN_NAMESPACE, WEBHOOK_SERVICE } from '../../lib/contract.ts';
import { isObjectList, type JsonObject, objectAt, objectsAt, textsIn } from '../../lib/json.ts';
import type { CheckFinding } from './selfcheck-report.ts';

const NAME_LABEL = 'kubernetes.io/metadata.name';
const MAX_TIMEOUT = 10;

/** @returns ok with the failure policy, or every difference that matters */
export function configurationFinding(configuration: JsonObject | undefined): CheckFinding {
  if (configuration === undefined) {
    return { ok: false, detail: 'there is no MutatingWebhookConfiguration: apply the manifests' };
  }
  const { webhooks } = configuration;
  if (!isObjectList(webhooks) || webhooks.length === 0) return { ok: false, detail: 'it names no webhook' };
  const wrong = webhooks.flatMap(differences);
  if (wrong.length > 0) return { ok: false, detail: `${wrong.join('; ')}: apply the manifests again` };
  return { ok: true, detail: `failurePolicy ${webhooks.map((webhook) => webhook['failurePolicy']).join(', ')}` };
}

function differences(webhook: JsonObject): string[] {
  const client = objectAt(webhook, 'clientConfig');
  const service = objectAt(client, 'service');
  const timeout = Number(webhook['timeoutSeconds']);
  const expressions = expressionsOf(webhook['namespaceSelector']);
  const expected: [boolean, string][] = [
    [
      service['name'] === WEBHOOK_SERVICE && service['namespace'] === OWN_NAMESPACE,
      `it does not call the Service ${WEBHOOK_SERVICE}`,
    ],
    [service['path'] === '/mutate', 'its path is not /mutate'],
    [createsPods(webhook['rules']), 'no rule asks for CREATE of pods'],
    [selectsOptedIn(expressions), `it does not select ${OPT_IN_LABEL} in (${OPT_IN_VALUES.join(', ')})`],
    [
      ['kube-system', OWN_NAMESPACE].every((name) => excludes(expressions, NAME_LABEL, name)),
      `kube-system or ${OWN_NAMESPACE} is not excluded`,
    ],
    [
      excludes(expressionsOf(webhook['objectSelector']), OPT_IN_LABEL, 'disabled'),
      'pods that opt out by label are not excluded',
    ],
    [webhook['reinvocationPolicy'] === 'IfNeeded', 'reinvocationPolicy is not IfNeeded'],
    [webhook['sideEffects'] === 'None', 'sideEffects is not None'],
    [timeout > 0 && timeout <= MAX_TIMEOUT, `timeoutSeconds is over ${MAX_TIMEOUT}`],
  ];
  return expected.filter(([holds]) => !holds).map(([, text]) => text);
}

function createsPods(rules: unknown): boolean {
  if (!isObjectList(rules)) return false;
  return rules.some(
    (rule) => textsIn(rule['resources']).includes('pods') && textsIn(rule['operations']).includes('CREATE'),
  );
}

function expressionsOf(selector: unknown): JsonObject[] {
  return objectsAt(selector, 'matchExpressions');
}

/** By an expression with every value: matchLabels can name only one. */
function selectsOptedIn(expressions: JsonObject[]): boolean {
  return OPT_IN_VALUES.every((value) => names(expressions, 'In', OPT_IN_LABEL, value));
}

function excludes(expressions: JsonObject[], key: string, value: string): boolean {
  return names(expressions, 'NotIn', key, value);
}

function names(expressions: JsonObject[], operator: string, key: string, value: string): boolean {
  return expressions.some(
    (one) => one['key'] === key && one['operator'] === operator && textsIn(one['values']).includes(value),
  );
}
