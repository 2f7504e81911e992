// The webhook's Prometheus metrics. Every label has few values, so that pods and users cannot add series.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds. An admission takes well under a millisecond: the usual buckets from 5 ms on would hold them all in one. */
const DURATION_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1];

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Makes a registry with the webhook's metrics.
 * @param version of the webhook, for build_info
 */
export function createMetrics(version: string) {
  const registry = new Registry();
  const registers = [registry];
  const admissions = new Counter({
    name: 'invalid_drop_admissions_total',
    help: 'Answered admission requests. result: injected, gated (readiness gate for a node agent), observed (left to a node agent as it is), skipped, refused, error (failed open), invalid (not an AdmissionReview). reason: why skipped or refused.',
    labelNames: ['result', 'reason'] as const,
    registers,
  });
  const duration = new Histogram({
    name: 'invalid_drop_admission_duration_seconds',
    help: 'Time from the request line to the finished answer.',
    buckets: DURATION_BUCKETS,
    registers,
  });
  const certificateExpiry = new Gauge({
    name: 'invalid_drop_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate expires, in seconds since 1970.',
    registers,
  });
  const certificateIssued = new Gauge({
    name: 'invalid_drop_certificate_issued_timestamp_seconds',
    help: 'When the serving certificate becomes valid, in seconds since 1970.',
    registers,
  });
  const caExpiry = new Gauge({
    name: 'invalid_drop_ca_expiry_timestamp_seconds',
    help: 'When the CA expires, in seconds since 1970; 0 if unknown.',
    registers,
  });
  const rotations = new Counter({
    name: 'invalid_drop_certificate_rotations_total',
    help: 'New certificates that this replica has made. what: serving or ca.',
    labelNames: ['what'] as const,
    registers,
  });
  const bundleInPlace = new Gauge({
    name: 'invalid_drop_ca_bundle_in_place',
    help: '1 if the caBundle of the webhook configuration trusts the certificate that this replica serves, else 0.',
    registers,
  });
  const bundleUpdates = new Counter({
    name: 'invalid_drop_ca_bundle_updates_total',
    help: 'Times that this replica has put the caBundle into the webhook configuration.',
    registers,
  });
  const buildInfo = new Gauge({
    name: 'invalid_drop_build_info',
    help: 'Always 1; the label tells the version.',
    labelNames: ['version'] as const,
    registers,
  });
  buildInfo.set({ version }, 1);
  for (const what of ['serving', 'ca'] as const) rotations.inc({ what }, 0);
  const certificates = { certificateExpiry, certificateIssued, caExpiry, rotations, bundleInPlace, bundleUpdates };
  return { registry, admissions, duration, ...certificates };
}
