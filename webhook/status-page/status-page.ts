// GET / of the plain port. Anybody in the network can ask (docs/decisions/0019): what needs work is made once in two seconds, and
// names of pods are only for who asks from the webhook's own pod.
import { madeAtMostEvery, type Page, type PageRequest } from '../../lib/page-server.ts';
import { bundlesOf, trusts } from '../certificates/ca-bundle.ts';
import { certificatesIn, describeCertificate } from '../certificates/read-certificates.ts';
import type { Certificates } from '../certificates/start-certificates.ts';
import type { Collection, Rounds } from '../collection/collector.ts';
import { REASONS } from '../coverage/coverage-reasons.ts';
import { type CoverageSource, coverageReport } from '../coverage/coverage-report.ts';
import type { SelfcheckReport } from '../selfcheck/selfcheck-report.ts';
import { overviewDocument, podsDocument, type StatusView, unknownDocument } from './status-document.ts';
import type { CertificateFacts, RoundFacts, StatusFacts, TrafficFacts } from './status-facts.ts';
import { STATUS_HEADERS } from './status-style.ts';

export interface StatusPageOptions {
  version: string;
  /** undefined where coverage is off. */
  coverage(): CoverageSource | undefined;
  /** undefined where nothing is collected. */
  collection?: Collection | undefined;
  /** Begins a self-check, or joins the last one. */
  selfcheck(): Promise<SelfcheckReport>;
  certificates(): CertificateFacts;
  /** Milliseconds since 1970. */
  time?(): number;
  /** Milliseconds of a clock that never goes back. */
  now?(): number;
}

/** Milliseconds for which a page stays as it is, as /coverage does. */
const MADE_FOR = 2000;
/** Pages that are kept for that long: more than one person opens. What is asked for beyond them is made for each request. */
const KEPT_PAGES = 64;
/** Milliseconds that a page waits for the first self-check, or for a new one where the last is old. */
const CHECK_WAIT = 200;
const CHECK_OLD = 30_000;

export function statusPage(options: StatusPageOptions): (request: PageRequest) => Promise<Page> {
  const { version, coverage, collection, selfcheck, certificates, time = Date.now, now } = options;
  const started = time();
  const lastCheck = lastReport(selfcheck, time);
  const numbers = madeAtMostEvery(MADE_FOR, () => reportOf(coverage(), '', false), now);
  const names = madeAtMostEvery(MADE_FOR, () => reportOf(coverage(), '', true), now);
  const certificatesNow = madeAtMostEvery(MADE_FOR, certificates, now);
  const traffic = madeAtMostEvery(MADE_FOR, () => trafficOf(collection, time()), now);
  const kept = madeAtMostEvery(MADE_FOR, () => new Map<string, Page>(), now);

  function make(view: StatusView, local: boolean, facts: StatusFacts): Page {
    const source = coverage();
    if (view.namespace === '' && view.reason === '')
      return htmlPage(
        200,
        overviewDocument({ ...facts, traffic: traffic(), coverage: local ? names() : numbers() }, view.page, local),
      );
    if (source === undefined) return htmlPage(404, unknownDocument(facts, 'Coverage is off'));
    if (view.namespace !== '' && !source.store.covers(view.namespace))
      return htmlPage(404, unknownDocument(facts, 'No such namespace is opted in'));
    const pods = local ? source.store.pods(view.namespace) : undefined;
    return htmlPage(200, podsDocument({ ...facts, coverage: reportOf(source, view.namespace, false) }, view, pods));
  }

  return async ({ query, local }) => {
    const view = viewOf(query, local);
    const report = await lastCheck();
    const facts = {
      version,
      now: time(),
      started,
      selfcheck: report,
      coverage: undefined,
      traffic: undefined,
      certificates: certificatesNow(),
    };
    if (view === undefined) return htmlPage(404, unknownDocument(facts, 'There is no such page'));
    const key = JSON.stringify([local, view]);
    const pages = kept();
    const page = pages.get(key) ?? make(view, local, facts);
    // The self-check may end while others wait for it: a page without its report is not kept.
    if (pages.size < KEPT_PAGES && report !== undefined && page.status === 200) pages.set(key, page);
    return page;
  };
}

function htmlPage(status: number, body: string): Page {
  return { status, type: 'text/html; charset=utf-8', headers: STATUS_HEADERS, body };
}

function trafficOf(collection: Collection | undefined, now: number): TrafficFacts | undefined {
  if (collection === undefined) return undefined;
  const { began, history, checkers, agents } = collection;
  return {
    began,
    checkers: roundsOf(checkers),
    agents: agents && roundsOf(agents),
    namespaces: history.namespaces(now),
    peers: history.peers(now),
  };
}

const roundsOf = ({ last, current }: Rounds): RoundFacts => ({ last: last(), current: current() });

/** With names: of workloads that cannot create pods. Pods are listed page by page, not here. */
function reportOf(source: CoverageSource | undefined, namespace: string, named: boolean) {
  return source && coverageReport(source, namespace, named ? [] : 'withheld');
}

/** @returns undefined for an address that names nothing: an unknown reason, or a page that is no number */
function viewOf(query: URLSearchParams, local: boolean): StatusView | undefined {
  const asked = query.get('reason') ?? '';
  const reason = asked === '' ? '' : REASONS.find((each) => each === asked);
  const page = query.get('page') ?? '1';
  if (reason === undefined || !/^[1-9]\d{0,5}$/.test(page)) return undefined;
  // Reasons select pods by name, which others do not see.
  return { namespace: query.get('namespace') ?? '', reason: local ? reason : '', page: Number(page) };
}

/**
 * A self-check may take 15 s, and a page must not: it shows the last one, and begins another.
 * @returns undefined where none has ended in time
 */
function lastReport(begin: () => Promise<SelfcheckReport>, time: () => number) {
  let last: SelfcheckReport | undefined;
  return async (): Promise<SelfcheckReport | undefined> => {
    const ended = begin().then(
      (report) => {
        last = report;
      },
      () => undefined,
    );
    if (last !== undefined && time() - Date.parse(last.time) < CHECK_OLD) return last;
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CHECK_WAIT);
    await Promise.race([ended, waited]);
    clearTimeout(timer);
    return last;
  };
}

/** What is known of the certificates now. */
export function certificateFacts(certificates: Certificates, source: CertificateFacts['source']): CertificateFacts {
  const cert = certificates.current()?.cert ?? '';
  const configuration = certificates.configuration?.object();
  const bundle = certificates.ownCa() ?? bundlesOf(configuration)[0] ?? '';
  return {
    source,
    serving: describeCertificate(cert),
    cas: certificatesIn(bundle)
      .slice(0, MOST_CAS)
      .flatMap((ca) => describeCertificate(ca.toString()) ?? []),
    trusted: certificates.configuration && trusts(configuration, cert),
  };
}

/** A bundle has one or two; somebody else's may hold all that there are. */
const MOST_CAS = 5;
