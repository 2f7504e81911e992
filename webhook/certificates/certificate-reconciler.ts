// Reconciles the Secret, the serving certificate and the caBundle with the plan. Every replica runs this; where two
// write at once, the API server accepts the first write, and the other replica reads it.

import { ApiError, reasonOf } from '../../lib/cluster/api-error.ts';
import type { ClusterClient } from '../../lib/cluster/cluster-client.ts';
import { OWN_NAMESPACE, WEBHOOK_CONFIGURATION } from '../../lib/contract.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { StructuredLog } from '../../lib/log.ts';
import { bundlePatch, holdsBundle } from './ca-bundle.ts';
import type { KeyPair } from './make-certificates.ts';
import { fingerprint } from './read-certificates.ts';
import { type CertificateLifetimes, nextStep, type RotationStep, takeStep } from './rotation-plan.ts';
import { readSecret, SECRET, secretData, type TlsState } from './tls-secret.ts';
import type { WatchedObject } from './watched-object.ts';

export const SECRETS_PATH = `/api/v1/namespaces/${OWN_NAMESPACE}/secrets`;
export const CONFIGURATIONS_PATH = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

/** Status of the API server's answer where a `test` of a JSON Patch fails. */
const TEST_FAILED = 422;

export interface CertificateReconcilerOptions {
  client: ClusterClient;
  secret: WatchedObject;
  configuration: WatchedObject;
  lifetimes: CertificateLifetimes;
  /** True where every replica serves the certificate with that fingerprint. */
  servedByAll(fingerprint: string): Promise<boolean>;
  /** Called with each new certificate, before anything waits for it. */
  serve(pair: KeyPair, caCert: string): void;
  /** Called for each step that this replica has carried out, and each caBundle that it has put in place. */
  did(what: RotationStep | 'bundle'): void;
  log: StructuredLog;
  /** Milliseconds since 1970. */
  now(): number;
}

/** @returns a function that reconciles once; it never rejects, and calls never overlap */
export function createCertificateReconciler(options: CertificateReconcilerOptions): () => Promise<void> {
  const { client, secret, configuration, lifetimes, log, now } = options;
  let last: TlsState | undefined;
  const held = createSince(now);
  const served = createSince(now);

  async function reconcileOnce(): Promise<boolean> {
    if (!secret.synced() || !configuration.synced()) return false;
    // The watch may deliver a newer Secret while keys are made: the write must replace the Secret that the decision
    // read.
    const present = secret.object();
    const state = readSecret(present);
    if (state !== undefined) adopt(state);
    if (state !== undefined && !holdsBundle(configuration.object(), state.bundle)) await putBundle();
    const step = nextStep({
      state,
      last,
      now: now(),
      bundleHeldMs: held(state?.bundle ?? '', state !== undefined && holdsBundle(configuration.object(), state.bundle)),
      servedByAllMs: await askServed(state),
    });
    const wanted = await takeStep(step, state ?? last, new Date(now()), lifetimes);
    if (wanted === undefined) return false;
    if (await store(wanted, present)) {
      options.did(step);
      log.info({ step, serving: fingerprint(wanted.serving.cert) }, 'changed the certificates');
    }
    return true;
  }

  function adopt(state: TlsState): void {
    if (state.serving.cert !== last?.serving.cert || state.ca.cert !== last.ca.cert) {
      options.serve(state.serving, state.ca.cert);
    }
    last = state;
  }

  async function askServed(state: TlsState | undefined): Promise<number> {
    if (state === undefined || state.next !== undefined || state.bundle === state.ca.cert) return served('', false);
    const print = fingerprint(state.serving.cert);
    return served(print, await options.servedByAll(print));
  }

  /** Reads the Secret again first: an outdated one would put an older bundle over a newer one. */
  async function putBundle(): Promise<void> {
    const fresh = await client.get(`${SECRETS_PATH}/${SECRET}`);
    secret.set(fresh);
    const state = readSecret(fresh);
    const present = configuration.object();
    if (state === undefined || present === undefined || holdsBundle(present, state.bundle)) return;
    try {
      const path = `${CONFIGURATIONS_PATH}/${WEBHOOK_CONFIGURATION}`;
      configuration.set(await client.patch(path, bundlePatch(present, state.bundle)));
      options.did('bundle');
      log.info({ configuration: WEBHOOK_CONFIGURATION }, 'put the CA into the webhook configuration');
    } catch (error) {
      // Another replica was first; the watch delivers its change.
      if (!(error instanceof ApiError && error.status === TEST_FAILED)) throw error;
    }
  }

  /** @returns false where another replica was first; its Secret is then read */
  async function store(state: TlsState, present: JsonObject | undefined): Promise<boolean> {
    const body = { ...(present ?? NEW_SECRET), data: secretData(state) };
    try {
      if (present === undefined) secret.set(await client.create(SECRETS_PATH, body));
      else secret.set(await client.replace(`${SECRETS_PATH}/${SECRET}`, body));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 404)) throw error;
      secret.set(error.status === 409 ? await client.get(`${SECRETS_PATH}/${SECRET}`) : undefined);
      return false;
    }
  }

  return serially(async () => {
    try {
      // Bounded: each call that returns true has changed the Secret, or has read another replica's change.
      for (let rounds = 0; rounds < 5 && (await reconcileOnce()); rounds++);
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'reconciling the certificates failed; trying again');
    }
  });
}

const NEW_SECRET: JsonObject = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: SECRET, namespace: OWN_NAMESPACE, labels: { 'app.kubernetes.io/name': 'invalid-drop' } },
  type: 'kubernetes.io/tls',
};

/** For how long a condition has held without a break, in milliseconds; starts at 0 for another subject. */
function createSince(now: () => number) {
  let since: { subject: string; at: number } | undefined;
  return (subject: string, holds: boolean): number => {
    if (!holds) since = undefined;
    else if (since?.subject !== subject) since = { subject, at: now() };
    return since === undefined ? 0 : now() - since.at;
  };
}

/** Calls during a run lead to one more run after it. */
function serially(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let again = false;
  const run = async () => {
    do {
      again = false;
      await work();
    } while (again);
    running = undefined;
  };
  return () => {
    if (running !== undefined) again = true;
    running ??= run();
    return running;
  };
}
