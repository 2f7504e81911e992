import t from 'tap';
import { errors } from '../../../cli/cli-errors.ts';
import { agentsPart, configurationPart, replicaPart, webhookPart } from '../../../cli/status/installed-parts.ts';
import { failureState } from '../../../cli/status/read-status.ts';
import { statusExit, statusReport, statusTable } from '../../../cli/status/status-report.ts';
import { answerError } from '../../../lib/cluster/api-error.ts';

const spec = {
  replicas: 2,
  template: { spec: { containers: [{ image: 'webhook:1', env: [{ name: 'INVALID_DROP_IMAGE', value: 'init:1' }] }] } },
};
const DONE = { observedGeneration: 3, replicas: 2, updatedReplicas: 2, readyReplicas: 2 };
const deployment = (status: object, change: object = {}) => ({
  metadata: { generation: 3 },
  spec: { ...spec, ...change },
  status,
});

t.test('the Deployment is well when the rollout is over', async (t) => {
  t.strictSame(webhookPart(deployment(DONE)), {
    state: 'ok',
    detail: '2 of 2 replicas Ready; image webhook:1, for pods init:1',
  });
  t.match(webhookPart(undefined), { state: 'not-well', detail: /no Deployment.*install/ });
  t.match(webhookPart(deployment({ ...DONE, readyReplicas: 1 })), { state: 'not-well', detail: /1 of 2 .*kubectl/ });
  const rolling = /a rollout is under way/;
  t.match(webhookPart(deployment({ ...DONE, updatedReplicas: 1 })), { state: 'not-well', detail: rolling });
  t.match(webhookPart(deployment({ ...DONE, replicas: 3 })), { state: 'not-well', detail: rolling });
  t.match(webhookPart(deployment({ ...DONE, observedGeneration: 2 })), { state: 'not-well' }, 'not seen yet');
  t.match(webhookPart(deployment({}, { replicas: 0 })), { state: 'not-well', detail: /no pod is guarded/ });
  t.match(webhookPart({}), { state: 'not-well' }, 'an object without anything');
});

t.test('the agents', async (t) => {
  const agents = (status: object) => agentsPart({ spec, status });
  const three = { desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3 };
  t.match(agentsPart(undefined), { state: 'ok', detail: 'none are installed' });
  t.match(agents(three), { state: 'ok', detail: /^3 of 3 nodes Ready; image/ });
  t.match(agents({ ...three, numberReady: 2 }), { state: 'not-well', detail: /^2 of 3 nodes Ready: / });
  t.match(agents({ ...three, updatedNumberScheduled: 1 }), { state: 'not-well' });
});

t.test('the configuration', async (t) => {
  t.match(configurationPart(undefined), { state: 'not-well', detail: /no MutatingWebhookConfiguration/ });
  t.match(configurationPart({ webhooks: [{}] }), { state: 'not-well', detail: /does not call the Service/ });
});

t.test('a replica tells what failed, and another version is told', async (t) => {
  const checks = [
    { name: 'certificate', ok: true, detail: 'valid' },
    { name: 'canary', ok: false, detail: 'no answer' },
  ];
  t.match(replicaPart({ version: '1', checks }, '1'), { state: 'not-well', detail: /^canary: no answer; version 1$/ });
  const well = { version: '1', checks: checks.slice(0, 1) };
  t.match(replicaPart(well, '1'), { state: 'ok', detail: '1 self-checks passed; version 1' });
  t.match(replicaPart(well, '2'), { state: 'ok', detail: /version 1 \(this command is 2: use/ });
});

t.test('what could not be asked is unknown for want of a right, and else not well', async (t) => {
  const answer = (status: number) => answerError(status, '{}');
  for (const status of [401, 403]) t.equal(failureState(answer(status)), 'unknown', `${status}`);
  for (const status of [404, 500, 503]) t.equal(failureState(answer(status)), 'not-well', `${status}`);
  t.equal(failureState(errors.PORT_FORWARD_FAILED('own/webhook-0', 8080, 'socket hang up')), 'not-well');
  t.equal(failureState(errors.WEBHOOK_NOT_READY()), 'unknown');
});

t.test('exit codes: not well before not known', async (t) => {
  const part = (state: 'ok' | 'not-well' | 'unknown') => ({ part: state, state, detail: 'as seen' });
  const report = (...states: Parameters<typeof part>[0][]) => statusReport('1', states.map(part));
  t.equal(statusExit(report('ok')), 0);
  t.equal(statusExit(report('ok', 'unknown', 'not-well')), 1);
  t.equal(statusExit(report('ok', 'unknown')), 2);
  t.strictSame([report('ok').ok, report('not-well').ok, report('unknown').ok], [true, false, null]);
  t.match(statusTable(report('ok', 'not-well')), /^STATE +PART +DETAIL\nok +ok .*\nNOT WELL +not-well +as seen\n$/);
});
