import t from 'tap';
import { explainFailure, failureText, missingRight } from '../../cli/refusal.ts';
import { answerError } from '../../lib/cluster/api-error.ts';
import { errors } from '../../lib/errors.ts';

/** As an API server 1.34 words them. */
const refusal = (message: string, status = 403) => answerError(status, JSON.stringify({ kind: 'Status', message }));
const LIST = 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "storage"';
const GET =
  'mutatingwebhookconfigurations.admissionregistration.k8s.io "x" is forbidden: User "system:serviceaccount:ci:bot" cannot get resource "mutatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope';

t.test('the right that is missing, and who lacks it', async (t) => {
  t.strictSame(missingRight(refusal(LIST)), {
    who: 'jane',
    verb: 'list',
    resource: 'pods',
    group: '',
    namespace: 'storage',
  });
  t.match(missingRight(refusal(GET)), { who: 'system:serviceaccount:ci:bot', verb: 'get', namespace: undefined });
  t.equal(missingRight(refusal('admission webhook "policy.example" denied the request')), undefined);
  t.equal(missingRight(refusal(LIST, 500)), undefined);
});

t.test('a right of long names is read to its end', async (t) => {
  const [user, namespace] = [`system:serviceaccount:${'n'.repeat(63)}:${'a'.repeat(253)}`, 'z'.repeat(63)];
  const words = `pods "${'p'.repeat(253)}" is forbidden: User "${user}" cannot get resource "pods" in API group "" in the namespace "${namespace}"`;
  t.match(missingRight(refusal(words)), { who: user, namespace });
});

t.test('the message has the rule to ask for', async (t) => {
  t.match(explainFailure(refusal(LIST)), {
    code: 'RIGHT_MISSING',
    message:
      /^"jane" may not list pods in namespace storage: ask .*\{"apiGroups":\[""\],"resources":\["pods"\],"verbs":\["list"\]\}$/,
  });
  t.match(failureText(refusal(GET)), /may not get mutatingwebhookconfigurations .* in the whole cluster: /);
});

t.test('what else can go wrong', async (t) => {
  t.match(explainFailure(refusal('Unauthorized', 401)), { code: 'CREDENTIALS_REFUSED' });
  t.match(explainFailure(refusal('etcd is away', 503)), { code: 'CLUSTER_REFUSES', message: /etcd is away/ });
  t.match(explainFailure(new TypeError('fetch failed')), { code: 'CLUSTER_UNREACHABLE' });
  t.match(explainFailure(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })), { code: 'CLUSTER_UNREACHABLE' });
  t.match(explainFailure(new DOMException('late', 'TimeoutError')), { code: 'CLUSTER_UNREACHABLE' });
  const own = new RangeError('a bug of ours');
  t.equal(explainFailure(own), own, 'is not taken for the network');
  const coded = errors.OPTION_UNKNOWN('-x');
  t.equal(explainFailure(coded), coded);
});

t.test('nothing that a terminal obeys comes through', async (t) => {
  t.notMatch(failureText(refusal('\u001b[2Jgone', 500)), '\u001b');
});
