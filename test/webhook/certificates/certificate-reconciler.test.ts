import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { bundlesOf } from '../../../webhook/certificates/ca-bundle.ts';
import { createCertificateReconciler } from '../../../webhook/certificates/certificate-reconciler.ts';
import type { KeyPair } from '../../../webhook/certificates/make-certificates.ts';
import { expiryTime, fingerprint, isTrusted } from '../../../webhook/certificates/read-certificates.ts';
import { SETTLE_MS } from '../../../webhook/certificates/rotation-plan.ts';
import { readSecret, secretData } from '../../../webhook/certificates/tls-secret.ts';
import { CONFIGURATION_PATH, type MemoryCluster, memoryCluster, SECRET_PATH } from './memory-cluster.ts';
import { freshState, HOUR, LIVES, START } from './states.ts';

const CONFIGURATION = {
  metadata: { name: 'invalid-drop-injector' },
  webhooks: [{ clientConfig: {} }, { clientConfig: {} }],
};

interface Replica {
  served: KeyPair | undefined;
  round(): Promise<void>;
  /** Brings its watches up to date. */
  tell(): void;
  /** Of the configuration only. */
  tellConfiguration(): void;
  steps: string[];
  complaints: object[];
}

function replicas(cluster: MemoryCluster, count: number) {
  const clock = { now: START };
  const all: Replica[] = [];
  for (let index = 0; index < count; index++) {
    const [secret, configuration] = [cluster.watch(SECRET_PATH), cluster.watch(CONFIGURATION_PATH)];
    const replica: Replica = {
      served: undefined,
      steps: [],
      complaints: [],
      tell: () => {
        secret.tell();
        configuration.tell();
      },
      tellConfiguration: configuration.tell,
      round: createCertificateReconciler({
        client: cluster.client,
        secret,
        configuration,
        lifetimes: LIVES,
        servedByAll: async (print) => all.every(({ served }) => fingerprint(served?.cert ?? '') === print),
        serve: (pair) => {
          replica.served = pair;
        },
        did: (step) => replica.steps.push(step),
        log: { info: () => {}, warn: (details) => replica.complaints.push(details) },
        now: () => clock.now,
      }),
    };
    all.push(replica);
  }
  return { all, clock };
}

const everyone = async (all: Replica[], rounds = 4) => {
  for (let round = 0; round < rounds; round++) {
    for (const replica of all) replica.tell();
    await Promise.all(all.map((replica) => replica.round()));
  }
};
const bundleIn = (cluster: MemoryCluster) => bundlesOf(cluster.get(CONFIGURATION_PATH))[0] ?? '';

t.test('three replicas that start at the same instant agree on one authority', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all } = replicas(cluster, 3);
  await everyone(all);
  const state = readSecret(cluster.get(SECRET_PATH));
  t.equal(all.flatMap(({ steps }) => steps).filter((step) => step === 'begin').length, 1);
  for (const { served } of all) t.equal(served?.cert, state?.serving.cert);
  t.strictSame(bundlesOf(cluster.get(CONFIGURATION_PATH)), [state?.bundle, state?.bundle], 'in every webhook');
  t.strictSame(
    all.flatMap(({ complaints }) => complaints),
    [],
  );
});

t.test('a Secret that another replica makes while keys are being made is not replaced', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const [slow] = replicas(cluster, 1).all;
  const theirs = secretData(await freshState());
  slow?.tell();
  const round = slow?.round();
  cluster.put(SECRET_PATH, { metadata: { name: 'x' }, data: theirs });
  slow?.tell();
  await round;
  t.strictSame(cluster.get(SECRET_PATH)?.['data'], theirs);
  t.strictSame(slow?.steps, ['bundle']);
});

t.test('a removed caBundle is put back', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all } = replicas(cluster, 2);
  await everyone(all);
  const before = bundleIn(cluster);
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  await everyone(all, 1);
  t.not(before, '');
  t.equal(bundleIn(cluster), before);
});

t.test('a replica whose watch is behind does not put an older bundle over a newer one', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all, clock } = replicas(cluster, 2);
  await everyone(all);
  const [quick, slow] = all;
  clock.now = START + LIVES.ca * 0.67;
  quick?.tell();
  await quick?.round();
  await quick?.round();
  const announced = bundleIn(cluster);
  t.equal(announced, readSecret(cluster.get(SECRET_PATH))?.bundle);
  slow?.tellConfiguration();
  await slow?.round();
  t.equal(bundleIn(cluster), announced);
});

t.test('in a whole rotation what any replica serves is trusted at every moment', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all, clock } = replicas(cluster, 3);
  await everyone(all);
  const old = readSecret(cluster.get(SECRET_PATH));
  clock.now = START + LIVES.ca * 0.67;
  for (let round = 0; round < 40; round++) {
    clock.now += SETTLE_MS / 4;
    // One replica at a time hears of what happened: the others are behind.
    const replica = all[round % 3];
    replica?.tell();
    await replica?.round();
    for (const { served } of all) t.ok(isTrusted(served?.cert ?? '', bundleIn(cluster)), `round ${round}`);
  }
  const now = readSecret(cluster.get(SECRET_PATH));
  t.not(now?.ca.cert, old?.ca.cert);
  t.equal(now?.bundle, now?.ca.cert, 'the old authority is gone');
  t.equal(new Set(all.map(({ served }) => served?.cert)).size, 1);
});

t.test('a deleted Secret leads to a new authority, and what is served stays trusted', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all, clock } = replicas(cluster, 2);
  await everyone(all);
  const before = readSecret(cluster.get(SECRET_PATH));
  cluster.remove(SECRET_PATH);
  for (let round = 0; round < 30; round++) {
    clock.now += SETTLE_MS / 4;
    await everyone(all, 1);
    for (const { served } of all) t.ok(isTrusted(served?.cert ?? '', bundleIn(cluster)), `round ${round}`);
  }
  const after = readSecret(cluster.get(SECRET_PATH));
  t.not(after?.ca.cert, before?.ca.cert);
  t.equal(after?.bundle, after?.ca.cert);
});

t.test('a Secret that somebody has spoilt is made good', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  cluster.put(SECRET_PATH, { metadata: { name: 'x', labels: { kept: 'yes' } }, data: { 'tls.crt': 'AAAA' } });
  const { all } = replicas(cluster, 1);
  await everyone(all);
  const secret = cluster.get(SECRET_PATH);
  t.ok(readSecret(secret));
  t.match(secret, { metadata: { labels: { kept: 'yes' } } }, 'and its labels stay');
});

t.test('a clock past the end of everything leads to certificates that are valid', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  cluster.put(SECRET_PATH, { metadata: { name: 'x' }, data: secretData(await freshState()) });
  const { all, clock } = replicas(cluster, 2);
  clock.now = START + LIVES.ca + HOUR;
  await everyone(all);
  for (const { served } of all) {
    t.ok(expiryTime(served?.cert ?? '') > clock.now);
    t.ok(isTrusted(served?.cert ?? '', bundleIn(cluster)));
  }
});

t.test('an API server that fails is complained about, and asked again at the next round', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const create = cluster.client.create;
  cluster.client.create = async () => {
    throw new Error('connection refused');
  };
  const { all } = replicas(cluster, 1);
  await everyone(all, 1);
  t.match(all[0]?.complaints, [{ reason: 'connection refused' }]);
  cluster.client.create = create;
  await everyone(all);
  t.ok(all[0]?.served);
});

t.test('calls at once lead to one run and one more', async (t) => {
  const cluster = memoryCluster();
  cluster.put(CONFIGURATION_PATH, CONFIGURATION);
  const { all } = replicas(cluster, 1);
  const [replica] = all;
  replica?.tell();
  await Promise.all([replica?.round(), replica?.round(), replica?.round()]);
  await turn();
  t.equal(replica?.steps.filter((step) => step === 'begin').length, 1);
});
