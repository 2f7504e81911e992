// What preflight prints, made by the program from one of the clusters of its tests.
import { preflightText } from '../../cli/preflight/preflight-text.ts';
import { judgeCase, readCase } from '../../test/harness/preflight-cases.ts';

/** kubeadm's defaults with Istio: hidden today, and not after the upgrade to Kubernetes 1.40. */
export async function preflightExample(): Promise<string> {
  const report = await judgeCase(readCase('kubeadm-iptables-default.json'));
  return ['```', preflightText(report, false).trimEnd(), '```'].join('\n');
}
