// Two replicas that start at the same instant, against the real API server, many times: they agree on one CA.
import t from 'tap';
import { connectCluster } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE, WEBHOOK_CONFIGURATION } from '../../lib/contract.ts';
import {
  CONFIGURATIONS_PATH,
  createCertificateReconciler,
  SECRETS_PATH,
} from '../../webhook/certificates/certificate-reconciler.ts';
import type { KeyPair } from '../../webhook/certificates/make-certificates.ts';
import { expiryTime, fingerprint } from '../../webhook/certificates/read-certificates.ts';
import { readSecret, SECRET } from '../../webhook/certificates/tls-secret.ts';
import { watchObject } from '../../webhook/certificates/watched-object.ts';
import { getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { install, rolledOut } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const ROUNDS = 50;
const DAY = 86_400_000;
const DEPLOYMENT = ['deployment/invalid-drop-webhook', '-n', OWN_NAMESPACE];
const client = connectCluster(process.env['KUBECONFIG'] ?? '');
const log = { info: () => {}, warn: () => {} };

t.before(async () => {
  await install();
  await kubectl(['scale', ...DEPLOYMENT, '--replicas=0']);
  await kubectl(
    ['wait', 'pod', '-n', OWN_NAMESPACE, '-l', 'app.kubernetes.io/component=webhook', '--for=delete', '--timeout=90s'],
    {
      limit: 100_000,
    },
  );
});
t.after(async () => {
  await kubectl(['scale', ...DEPLOYMENT, '--replicas=2']);
  await rolledOut();
});

function startReplica(now = Date.now) {
  const steps: string[] = [];
  let served: KeyPair | undefined;
  let wake = () => {};
  const hold = (path: string, name: string) =>
    watchObject({ client, path, name, what: name, log, retryDelay: () => 100, changed: () => wake() });
  const secret = hold(SECRETS_PATH, SECRET);
  const configuration = hold(CONFIGURATIONS_PATH, WEBHOOK_CONFIGURATION);
  const round = createCertificateReconciler({
    client,
    secret,
    configuration,
    lifetimes: { ca: 1000 * DAY, serving: 90 * DAY },
    servedByAll: async () => false,
    serve: (pair) => {
      served = pair;
    },
    did: (step) => steps.push(step),
    log,
    now,
  });
  wake = () => void round();
  wake();
  return {
    steps,
    served: () => served,
    stop: async () => {
      await Promise.all([secret.stop(), configuration.stop()]);
      await round();
    },
  };
}

const storedState = async () => readSecret(await getJson('secret', SECRET, '-n', OWN_NAMESPACE));

t.test(`${ROUNDS} times: one CA, and both serve its certificate`, async (t) => {
  for (let round = 1; round <= ROUNDS; round++) {
    await kubectl(['delete', 'secret', SECRET, '-n', OWN_NAMESPACE, '--ignore-not-found']);
    const both = [startReplica(), startReplica()];
    const serve = () => {
      const all = both.map((replica) => fingerprint(replica.served()?.cert ?? ''));
      return all[0] !== '' && all[0] === all[1] && all;
    };
    const prints = await eventually('both serve', serve, 15_000).finally(() =>
      Promise.all(both.map((replica) => replica.stop())),
    );
    const begun = both.flatMap(({ steps }) => steps).filter((step) => step === 'begin').length;
    const stored = fingerprint((await storedState())?.serving.cert ?? '');
    t.strictSame([begun, prints[0]], [1, stored], `round ${round}`);
  }
});

t.test('after the clock has moved past the end of all certificates, what is served is valid again', async (t) => {
  const later = () => Date.now() + 2000 * DAY;
  const before = await storedState();
  t.ok(before !== undefined && expiryTime(before.ca.cert) < later());
  const replica = startReplica(later);
  await eventually('a certificate of the new time is served', () => expiryTime(replica.served()?.cert ?? '') > later());
  await replica.stop();
  const after = await storedState();
  t.not(after?.ca.cert, before?.ca.cert);
  t.ok(
    after?.bundle.endsWith(before?.ca.cert ?? 'nothing'),
    'the old CA is in the bundle until all replicas have read the new one',
  );
  await kubectl(['delete', 'secret', SECRET, '-n', OWN_NAMESPACE]);
});
