import type { InjectionSettings } from '../../../webhook/admission/containers.ts';

/** What the webhook is configured to do unless a test says otherwise: the defaults, with an image of its own. */
export const SETTINGS: InjectionSettings = {
  image: 'registry.example/invalid-drop:1.0.0',
  version: '1.0.0',
  options: { mode: 'enforce', protocol: 'tcp', onDrift: 'repair', rescue: 'enabled', checker: 'enabled', port: 15099 },
  nativeSidecars: true,
  legacyIptables: false,
  nodeMode: 'disabled',
  initResources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '1', memory: '128Mi' } },
  checkerResources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '500m', memory: '128Mi' } },
  maxResources: { cpu: '1', memory: '512Mi', 'ephemeral-storage': '1Gi' },
  meshExcludeInboundPorts: '',
  imagePullSecrets: [],
};

/** The request of an AdmissionReview that creates a pod. */
export function creationOf(pod: unknown, request: object = {}) {
  return {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'storage',
    operation: 'CREATE',
    object: pod,
    ...request,
  };
}
