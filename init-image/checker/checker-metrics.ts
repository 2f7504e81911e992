// The report's numbers as metrics (docs/decisions/0002).
import type { CheckerReport } from '../../lib/checker/checker-report.ts';
import { type Metric, type MetricSample, metricText } from '../../lib/metric-text.ts';
import { INTERFACE_CLASSES, type InterfaceReport } from '../../lib/netfilter/ruleset-check.ts';

const families = (report: CheckerReport) =>
  Object.entries(report.families ?? {}).filter(([, family]) => family.present);

const perInterface = (report: CheckerReport, value: (seen: InterfaceReport) => number): MetricSample[] =>
  families(report).flatMap(([family, described]) =>
    INTERFACE_CLASSES.flatMap((name) => {
      const seen = described[name];
      return seen ? [{ labels: { family, interface: name }, value: value(seen) }] : [];
    }),
  );

/** Every metric of the checker. Labels are bounded: two families, two classes of interfaces, four triggers. */
export const METRICS: Metric<CheckerReport>[] = [
  {
    name: 'invalid_drop_build_info',
    type: 'gauge',
    help: 'Always 1; the version and the kernel release are labels.',
    labels: ['version', 'kernel'],
    samples: (report) => [{ labels: { version: report.version, kernel: report.evidence.kernelRelease }, value: 1 }],
  },
  {
    name: 'invalid_drop_guarded',
    type: 'gauge',
    help: '1 while every INVALID TCP packet on this class of interfaces that has no socket of its own is certain to be dropped.',
    labels: ['family', 'interface'],
    samples: (report) => perInterface(report, ({ mustDrop }) => (mustDrop.holds === 'yes' ? 1 : 0)),
  },
  {
    name: 'invalid_drop_verdict_unknown',
    type: 'gauge',
    help: '1 while the verdict on an INVALID TCP packet is unknown.',
    labels: ['family', 'interface'],
    samples: (report) => perInterface(report, ({ mustDrop }) => (mustDrop.holds === 'unknown' ? 1 : 0)),
  },
  {
    name: 'invalid_drop_own_sockets_spared',
    type: 'gauge',
    help: '1 while every INVALID TCP packet that has a socket of its own is certain to reach it.',
    labels: ['family', 'interface'],
    samples: (report) => perInterface(report, ({ mustPass }) => (mustPass.holds === 'yes' ? 1 : 0)),
  },
  {
    name: 'invalid_drop_own_sockets_unknown',
    type: 'gauge',
    help: '1 while it is unknown whether such a packet reaches its socket.',
    labels: ['family', 'interface'],
    samples: (report) => perInterface(report, ({ mustPass }) => (mustPass.holds === 'unknown' ? 1 : 0)),
  },
  {
    name: 'invalid_drop_strays_noted',
    type: 'gauge',
    help: '1 while the connections of INVALID packets are noted, so that they can be rescued.',
    labels: ['family', 'interface'],
    samples: (report) => perInterface(report, ({ noted }) => (noted ? 1 : 0)),
  },
  {
    name: 'invalid_drop_stray_segments_total',
    type: 'counter',
    help: 'INVALID TCP segments that arrived, dropped or not.',
    labels: [],
    samples: (report) => [{ value: report.strays.segments }],
  },
  {
    name: 'invalid_drop_connections_rescued_total',
    type: 'counter',
    help: 'Connections that had stray segments and were made liberal in conntrack, so that they do not hang.',
    labels: [],
    samples: (report) => [{ value: report.strays.rescued }],
  },
  {
    name: 'invalid_drop_rescue_failures_total',
    type: 'counter',
    help: 'Rescues that failed: the notes could not be read, or conntrack refused.',
    labels: [],
    samples: (report) => [{ value: report.strays.failed }],
  },
  {
    name: 'invalid_drop_connections_persistent_total',
    type: 'counter',
    help: 'Connections that went on having stray segments after they were made liberal.',
    labels: [],
    samples: (report) => [{ value: report.strays.persistent }],
  },
  {
    name: 'invalid_drop_ready',
    type: 'gauge',
    help: '1 while /readyz answers 200.',
    labels: [],
    samples: (report) => [{ value: report.ready ? 1 : 0 }],
  },
  {
    name: 'invalid_drop_dropped_packets_total',
    type: 'counter',
    help: 'INVALID packets that the rules dropped: each may have caused a connection reset.',
    labels: ['family'],
    samples: (report) =>
      Object.entries(report.prevented).map(([family, { packets }]) => ({ labels: { family }, value: packets })),
  },
  {
    name: 'invalid_drop_dropped_bytes_total',
    type: 'counter',
    help: 'Bytes of those packets.',
    labels: ['family'],
    samples: (report) =>
      Object.entries(report.prevented).map(([family, { bytes }]) => ({ labels: { family }, value: bytes })),
  },
  {
    name: 'invalid_drop_drift_total',
    type: 'counter',
    help: 'Times that a guarded pod was found unguarded.',
    labels: [],
    samples: (report) => [{ value: report.drift }],
  },
  {
    name: 'invalid_drop_exemption_drift_total',
    type: 'counter',
    help: 'Times that packets with a socket of their own were found to be dropped again, or stray segments not noted.',
    labels: [],
    samples: (report) => [{ value: report.exemptionDrift }],
  },
  {
    name: 'invalid_drop_exemption_failures_total',
    type: 'counter',
    help: 'Times that the exemption could not be put in.',
    labels: [],
    samples: (report) => [{ value: report.exemptionFailures }],
  },
  {
    name: 'invalid_drop_repairs_total',
    type: 'counter',
    help: 'Repairs tried, by result.',
    labels: ['result'],
    samples: (report) => [
      { labels: { result: 'guarded' }, value: report.repairs },
      { labels: { result: 'failed' }, value: report.repairFailures },
    ],
  },
  {
    name: 'invalid_drop_checks_total',
    type: 'counter',
    help: 'Checks of the ruleset, by what caused them.',
    labels: ['trigger'],
    samples: (report) => Object.entries(report.checks).map(([trigger, value]) => ({ labels: { trigger }, value })),
  },
  {
    name: 'invalid_drop_check_failures_total',
    type: 'counter',
    help: 'Checks that could not read the ruleset.',
    labels: [],
    samples: (report) => [{ value: report.checkFailures }],
  },
  {
    name: 'invalid_drop_last_check_timestamp_seconds',
    type: 'gauge',
    help: 'When the ruleset was last checked, in seconds since 1970.',
    labels: [],
    samples: (report) => [{ value: report.lastCheck === null ? null : Date.parse(report.lastCheck) / 1000 }],
  },
  {
    name: 'invalid_drop_monitor_up',
    type: 'gauge',
    help: '1 while xtables-monitor runs, so that each change of the nft ruleset is checked at once.',
    labels: [],
    samples: (report) => [{ value: report.monitor.running ? 1 : 0 }],
  },
  {
    name: 'invalid_drop_monitor_restarts_total',
    type: 'counter',
    help: 'Restarts of xtables-monitor.',
    labels: [],
    samples: (report) => [{ value: report.monitor.restarts }],
  },
  {
    name: 'invalid_drop_conntrack_invalid_total',
    type: 'counter',
    help: 'Packets that conntrack marked INVALID in this pod, all protocols.',
    labels: [],
    samples: (report) => [{ value: report.evidence.conntrackInvalid }],
  },
  {
    name: 'invalid_drop_tcp_resets_sent_total',
    type: 'counter',
    help: 'TCP segments with RST that this pod sent, for any reason.',
    labels: [],
    samples: (report) => [{ value: report.evidence.tcpResetsSent }],
  },
  {
    name: 'invalid_drop_tcp_be_liberal',
    type: 'gauge',
    help: 'net.netfilter.nf_conntrack_tcp_be_liberal of this pod.',
    labels: [],
    samples: (report) => [{ value: report.evidence.tcpBeLiberal }],
  },
];

/** The report as Prometheus reads it. */
export function renderMetrics(report: CheckerReport): string {
  return metricText(METRICS, report);
}
