// A made-up installation for the status page: its pods, self-check and certificates, and a clock that stands still.

import type { Collection } from '../../../webhook/collection/collector.ts';
import { createTrafficHistory } from '../../../webhook/collection/traffic-history.ts';
import type { CoverageReason } from '../../../webhook/coverage/coverage-reasons.ts';
import { type CoverageStore, createCoverageStore } from '../../../webhook/coverage/coverage-store.ts';
import type { PodFacts } from '../../../webhook/coverage/pod-record.ts';
import type { RefusedCreation } from '../../../webhook/coverage/refused-creations.ts';
import type { CheckResult, SelfcheckReport } from '../../../webhook/selfcheck/selfcheck-report.ts';
import type { CertificateFacts } from '../../../webhook/status-page/status-facts.ts';

/** Milliseconds since 1970. */
export const TIME = Date.parse('2030-01-15T12:00:00Z');
const DAY = 86_400_000;
const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'store', uid: 'u-1' };
const OPTED_IN = TIME / 1000 - 1000;

const NONE: PodFacts = {
  leftAlone: undefined,
  own: 'none',
  install: 'absent',
  unpulled: false,
  checker: 'absent',
  observes: false,
  ephemeral: false,
  liberal: false,
  agent: undefined,
};
const GUARDED: PodFacts = { ...NONE, own: 'current', install: 'done', checker: 'ready' };

/** Facts that give a pod the reason. */
const FACTS = {
  guarded: GUARDED,
  'guarded-by-older-version': { ...GUARDED, own: 'older' },
  'guarded-without-checker': { ...GUARDED, checker: 'absent' },
  'observe-mode': { ...GUARDED, observes: true },
  starting: { ...GUARDED, install: 'waiting', checker: 'waiting' },
  'install-failed': { ...GUARDED, install: 'failed', checker: 'waiting' },
  'checker-not-ready': { ...GUARDED, checker: 'failing' },
  'webhook-missed': NONE,
  'created-before-opt-in': NONE,
  'host-network': { ...NONE, leftAlone: 'host-network' },
  'opted-out': { ...NONE, leftAlone: 'opted-out' },
} satisfies Partial<Record<CoverageReason, PodFacts>>;

export type MadeReason = keyof typeof FACTS;

export function emptyStore(): CoverageStore {
  return createCoverageStore(
    () => {},
    () => TIME / 1000,
  );
}

/** Opts the namespace in, and puts pods of these reasons into it, named NAME-0, NAME-1 and so on. */
export function addPods(
  store: CoverageStore,
  namespace: string,
  pods: Partial<Record<MadeReason, number>>,
  name = 'store',
) {
  store.cover(namespace, { optedInAt: OPTED_IN, forbidsNetAdmin: false, placement: 'pod' });
  let index = 0;
  for (const [reason, count] of Object.entries(pods) as [MadeReason, number][]) {
    const created = reason === 'created-before-opt-in' ? OPTED_IN - 60 : OPTED_IN + 60;
    for (let i = 0; i < count; i++, index++) {
      const record = {
        namespace,
        name: `${name}-${index}`,
        facts: FACTS[reason],
        created,
        startedAt: created,
        checkerIp: '10.1.0.1',
        checkerPort: 15099,
        agentNode: '',
        agentUid: '',
      };
      store.put({ record, owner: OWNER, gone: false });
    }
  }
}

/** A cluster in which most is well, as on the screenshots. */
export function usualStore(): CoverageStore {
  const store = emptyStore();
  addPods(
    store,
    'storage',
    { guarded: 214, 'webhook-missed': 3, 'install-failed': 1, starting: 2 },
    'object-store-6d4cf56db6',
  );
  addPods(store, 'media', { guarded: 96, 'guarded-by-older-version': 12 }, 'transcoder-7f9c');
  addPods(store, 'backup', { guarded: 31, 'host-network': 2 }, 'backup');
  addPods(store, 'registry', { guarded: 8 }, 'registry');
  addPods(store, 'analytics', { guarded: 40, 'observe-mode': 4, 'opted-out': 1 }, 'ingest');
  return store;
}

const check = (name: string, detail: string, durationMs: number): CheckResult => ({
  name,
  ok: true,
  detail,
  durationMs,
});

export function selfcheckOf(changes: Partial<CheckResult>[] = []): SelfcheckReport {
  const checks = [
    check('certificate', 'valid until 2030-03-20T09:00:00.000Z', 0),
    check('canary', 'a pod sent through the Service got its container', 14),
    check('webhook-configuration', 'failurePolicy Ignore', 0),
    check('ca-bundle', "the caBundle trusts this replica's certificate", 1),
    check('permissions', '14 permissions asked for and granted', 22),
    check('replicas', '2 serve the same certificate', 9),
    check('watches', 'listed: namespaces, pods', 0),
  ].map((one, index) => ({ ...one, ...changes[index] }));
  return { ok: checks.every(({ ok }) => ok), version: '0.1.0', time: new Date(TIME - 3000).toISOString(), checks };
}

export const CERTIFICATES: CertificateFacts = {
  source: 'secret',
  serving: {
    subject: 'invalid-drop-webhook, invalid-drop-webhook.invalid-drop-system.svc',
    issuer: 'CN=invalid-drop CA 5d2f31c0',
    from: TIME - 26 * DAY,
    until: TIME + 64 * DAY,
    renewal: TIME + 34 * DAY,
    fingerprint: '',
  },
  cas: [
    {
      subject: 'CN=invalid-drop CA 5d2f31c0',
      issuer: 'CN=invalid-drop CA 5d2f31c0',
      from: TIME - 26 * DAY,
      until: TIME + 1799 * DAY,
      renewal: TIME + 1190 * DAY,
      fingerprint: '',
    },
  ],
  trusted: true,
};

export const refusedOf = (owner: string, message: string): RefusedCreation => ({
  namespace: 'storage',
  owner,
  message,
  namesOurs: true,
  lastSeen: new Date(TIME - 600_000).toISOString(),
});

/** What half a day of collection has seen: a quiet night, and an incident in the morning. */
export function madeCollection(namespace = 'storage', pod = 'object-store-6d4cf56db6'): Collection {
  const began = TIME - 14 * 3_600_000;
  const history = createTrafficHistory(began);
  const stores = Array.from({ length: 4 }, (_, i) => ({
    identity: {},
    namespace,
    pod: `${pod}-${i}`,
    startedAt: began,
  }));
  const media = { identity: {}, namespace: 'media', pod: 'transcoder-7f9c-3', startedAt: began };
  let [drops, rescues] = [0, 0];
  for (let minute = 0; minute <= 840; minute += 10) {
    const at = began + minute * 60_000;
    const busy = minute > 560 && minute < 680;
    drops += busy ? 40 + ((minute * 7) % 90) : (minute * 13) % 4;
    rescues += busy ? 3 + (minute % 7) : 0;
    const peers = [{ peer: '10.1.4.7', port: 9000, segments: drops + 12, rescued: rescues, lastSeen: at - 30_000 }];
    for (const [index, one] of stores.entries()) {
      const counters = { drops: drops >> index, rescues: rescues >> index, drift: minute > 700 && index === 1 ? 1 : 0 };
      history.add(one, { counters, peers: index < 2 ? peers : [] }, at);
    }
    const far = [{ peer: '2001:db8:7::21', port: 8080, segments: 9, rescued: 1, lastSeen: began + 600_000 }];
    history.add(media, { counters: { drops: Math.floor(minute / 90), rescues: 1, drift: 0 }, peers: far }, at);
  }
  const rounds = (asked: number, silent: number) => {
    const last = { began: TIME - 52_000, ended: TIME - 12_000, asked, answered: asked - silent, silent };
    return { last: () => last, current: () => undefined };
  };
  return { began, history, checkers: rounds(397, 1), agents: rounds(2, 0), stop: () => {} };
}
