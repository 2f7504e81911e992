import t from 'tap';
import { additionIn, admissionPart, DRY_RUN_POD, whyNotThere } from '../../../cli/status/dry-run-pod.ts';
import { answerError } from '../../../lib/cluster/api-error.ts';
import type { JsonObject } from '../../../lib/json.ts';

const namespace = (name: string, labels: Record<string, string>, more: object = {}) => ({
  metadata: { name, labels, ...more },
});
const ON = { 'invalid-drop.io/inject': 'enabled' };
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' };

t.test('what the webhook added is seen', async (t) => {
  const withContainers = (key: string, ...names: string[]) => ({ spec: { [key]: names.map((name) => ({ name })) } });
  t.equal(additionIn(DRY_RUN_POD), undefined);
  t.equal(additionIn(withContainers('initContainers', 'invalid-drop-checker', 'istio-proxy')), 'invalid-drop-checker');
  t.equal(
    additionIn({
      spec: { initContainers: [{ name: 'invalid-drop-init' }], containers: [{ name: 'invalid-drop-checker' }] },
    }),
    'invalid-drop-init and invalid-drop-checker',
  );
  const gated = { spec: { readinessGates: [{ conditionType: 'invalid-drop.io/guarded' }] } };
  t.match(additionIn(gated), /readiness gate/);
});

t.test('a namespace does only where the webhook is to add something', async (t) => {
  t.equal(whyNotThere(namespace('storage', ON), 'disabled'), undefined);
  t.match(whyNotThere(namespace('storage', {}), 'disabled'), /no label/);
  t.match(whyNotThere(namespace('storage', ON, { deletionTimestamp: 'now' }), 'disabled'), /being deleted/);
  t.match(whyNotThere(namespace('kube-system', ON), 'disabled'), /never changed/);
  t.match(whyNotThere(namespace('storage', { ...ON, ...RESTRICTED }), 'disabled'), /Pod Security/);
  t.equal(whyNotThere(namespace('storage', { ...ON, ...RESTRICTED }), 'default'), undefined, 'agents need nothing');
  t.match(whyNotThere(namespace('storage', { 'invalid-drop.io/inject': 'node' }), 'disabled'), /there are none/);
});

/** A cluster with these namespaces, whose answers to dry runs come in order; the last one goes on. */
function cluster(namespaces: object[], ...answers: (object | Error)[]) {
  const asked: string[] = [];
  let connections = 0;
  const client = {
    async get(path: string) {
      asked.push(path);
      if (path === '/api/v1/namespaces') return { kind: 'NamespaceList', metadata: {}, items: namespaces };
      const found = namespaces.find((one) => path.endsWith(`/${(one as ReturnType<typeof namespace>).metadata.name}`));
      if (found === undefined) throw answerError(404, 'not found');
      return found as JsonObject;
    },
    async create(path: string, _pod: object, query: object) {
      asked.push(`${path} ${JSON.stringify(query)}`);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error) throw answer;
      return answer as JsonObject;
    },
  };
  const connect = async () => {
    connections += 1;
    return client as never;
  };
  return { connect, asked, connections: () => connections };
}
const INJECTED = { spec: { initContainers: [{ name: 'invalid-drop-checker' }] } };

t.test('each pod of three gets it, on connections of their own, in the first namespace that does', async (t) => {
  const { connect, asked, connections } = cluster(
    [namespace('a', { ...ON, ...RESTRICTED }), namespace('b', ON)],
    INJECTED,
  );
  t.match(await admissionPart(connect, '', 'disabled'), {
    state: 'ok',
    detail: /namespace b .*invalid-drop-checker, 3 times/,
  });
  t.strictSame(asked.slice(1), Array(3).fill('/api/v1/namespaces/b/pods {"dryRun":"All"}'));
  t.equal(connections(), 4);
});

t.test('one that does not get it is enough', async (t) => {
  const { connect } = cluster([namespace('b', ON)], INJECTED, INJECTED, DRY_RUN_POD);
  t.match(await admissionPart(connect, '', 'disabled'), { state: 'not-well', detail: /did not reach the webhook/ });
  const quota = answerError(403, JSON.stringify({ message: 'pods "x" is forbidden: exceeded quota: small' }));
  const full = cluster([namespace('b', ON)], quota);
  t.match(await admissionPart(full.connect, '', 'disabled'), {
    state: 'not-well',
    detail: /refused: .*exceeded quota/,
  });
});

t.test('a missing right is no answer about the webhook', async (t) => {
  const words = 'pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "b"';
  const { connect } = cluster([namespace('b', ON)], answerError(403, JSON.stringify({ message: words })));
  await t.rejects(admissionPart(connect, '', 'disabled'), { message: /cannot create resource/ });
});

t.test('without an opted-in namespace nothing is claimed', async (t) => {
  const none = cluster([], INJECTED);
  t.match(await admissionPart(none.connect, '', 'disabled'), {
    state: 'unknown',
    detail: /no namespace is opted in.*label/,
  });
  const strict = cluster([namespace('a', { ...ON, ...RESTRICTED })], INJECTED);
  t.match(await admissionPart(strict.connect, '', 'disabled'), { state: 'unknown', detail: /of a: Pod Security/ });
  const chosen = cluster([namespace('c', {}), namespace('b', ON)], INJECTED);
  t.match(await admissionPart(chosen.connect, 'c', 'disabled'), { state: 'unknown', detail: /namespace c .*no label/ });
  t.match(await admissionPart(chosen.connect, 'b', 'disabled'), { state: 'ok' });
});
