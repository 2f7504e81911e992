// What becomes of a pod: a function from data to data.
import { CHECKER_CONTAINER, INIT_CONTAINER } from '../../lib/contract.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';
import type { ContainerResources } from './container-resources.ts';
import { type PodOptions, readPodOptions } from './pod-options.ts';
import * as is from './pod-predicates.ts';
import { ends, hasContainer, type PodView, viewPod } from './pod-view.ts';
import type { SkipReason } from './skip-reasons.ts';

/** What the webhook is configured to put into pods. */
export interface InjectionSettings {
  /** Image of both containers. Never a pod's choice: it would hand NET_ADMIN to whatever a pod author names. */
  image: string;
  /** Version of the webhook, for the status annotation. */
  version: string;
  /** Options of pods that say nothing themselves. */
  options: PodOptions;
  /** Whether the cluster runs init containers with restartPolicy Always (Kubernetes 1.29 and later). */
  nativeSidecars: boolean;
  /** Whether nodes use iptables-legacy, which asks for CAP_NET_RAW too. */
  legacyIptables: boolean;
  /** Of the init container and of the checker, but for what a pod budgets as a whole. */
  initResources: ContainerResources;
  checkerResources: ContainerResources;
  /** What the mesh excludes where a pod says nothing (Helm value global.proxy.excludeInboundPorts), or ''. */
  meshExcludeInboundPorts: string;
}

/** What to add to a pod: at least one of the two containers. */
export interface Plan {
  options: PodOptions;
  addInit: boolean;
  /** sidecar: init container with restartPolicy Always. container: beside the application. none: nothing to add. */
  checker: 'sidecar' | 'container' | 'none';
}

export type Decision =
  | { result: 'inject'; pod: PodView; plan: Plan }
  | { result: 'skip'; reason: SkipReason }
  | { result: 'refuse'; code: number; message: string };

/**
 * Decides about one admission request.
 * @param request `request` of an AdmissionReview; any JSON is allowed
 * @param namespaceLabels labels of the request's namespace, or undefined where they are not known
 * @returns inject with what to add, skip with the reason, or refuse with an HTTP-like code and a message that names
 *   every wrong annotation
 */
export function decide(
  request: JsonObject,
  namespaceLabels: Record<string, string> | undefined,
  settings: InjectionSettings,
): Decision {
  if (!isPodCreation(request)) return { result: 'skip', reason: 'not-a-pod-creation' };
  if (is.isProtectedNamespace(request['namespace'])) return { result: 'skip', reason: 'own-namespace' };
  const pod = viewPod(request['object']);
  if (pod === undefined) return { result: 'skip', reason: 'unreadable-pod' };
  const reason = reasonToLeaveAlone(pod, namespaceLabels);
  if (reason !== undefined) return { result: 'skip', reason };
  const { options, wrong } = readPodOptions(pod, settings.options);
  if (wrong.length > 0) return { result: 'refuse', code: 400, message: `invalid-drop: ${wrong.join('; ')}` };
  const plan = planFor(pod, options, settings.nativeSidecars);
  if (!plan.addInit && plan.checker === 'none') return { result: 'skip', reason: 'already-injected' };
  return { result: 'inject', pod, plan };
}

function isPodCreation(request: JsonObject): boolean {
  const { kind, operation } = request;
  if (operation !== 'CREATE' || (request['subResource'] ?? '') !== '') return false;
  return isObject(kind) && kind['kind'] === 'Pod' && (kind['group'] ?? '') === '';
}

/** In the order in which a user would want to be told: their own choice first. */
function reasonToLeaveAlone(pod: PodView, labels: Record<string, string> | undefined): SkipReason | undefined {
  if (is.isOptedOut(pod)) return 'opted-out';
  if (is.isMirrorPod(pod)) return 'mirror-pod';
  if (is.isWindows(pod)) return 'windows';
  if (is.usesHostNetwork(pod)) return 'host-network';
  if (is.forbidsNetAdmin(labels)) return 'namespace-forbids-net-admin';
  return undefined;
}

/** From the containers that are there, never from an annotation: anyone can write an annotation. */
function planFor(pod: PodView, options: PodOptions, nativeSidecars: boolean): Plan {
  const addInit = !hasContainer(pod, INIT_CONTAINER);
  const wantsChecker = options.checker === 'enabled' && !hasContainer(pod, CHECKER_CONTAINER);
  if (!wantsChecker) return { options, addInit, checker: 'none' };
  if (nativeSidecars) return { options, addInit, checker: 'sidecar' };
  // A plain container would keep a Job's pod from ever completing.
  return { options, addInit, checker: ends(pod) ? 'none' : 'container' };
}
