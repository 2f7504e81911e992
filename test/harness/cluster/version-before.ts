// Pods as the webhook made them before one container did both: an init container that installs the rule, and a sidecar that
// only checks. They are written out here, because they stay as they are in clusters that upgrade.
import { barePod, type Container } from './pod-status.ts';

const NODE = ['node', '--disable-sigusr1'];
const CHECK = [...NODE, '--v8-pool-size=0', '--optimize-for-size', '/opt/invalid-drop/check.js'];

/** @param image of both containers */
function containersOfVersionBefore(image: string): Container[] {
  const common = {
    image,
    imagePullPolicy: 'IfNotPresent',
    env: [
      { name: 'INVALID_DROP_MODE', value: 'enforce' },
      { name: 'INVALID_DROP_PROTOCOL', value: 'tcp' },
      { name: 'INVALID_DROP_ON_DRIFT', value: 'repair' },
      { name: 'INVALID_DROP_RESCUE', value: 'enabled' },
    ],
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
  const requests = { cpu: '10m', memory: '32Mi' };
  return [
    {
      name: 'invalid-drop-init',
      command: [...NODE, '/opt/invalid-drop/install.js'],
      ...common,
      resources: { requests, limits: { cpu: '1', memory: '128Mi' } },
    },
    {
      name: 'invalid-drop-checker',
      command: CHECK,
      ...common,
      resources: { requests, limits: { cpu: '200m', memory: '128Mi' } },
      ports: [{ name: 'idrop-checker', containerPort: 15099, protocol: 'TCP' }],
      readinessProbe: {
        httpGet: { path: '/readyz', port: 15099, scheme: 'HTTP' },
        periodSeconds: 2,
        timeoutSeconds: 2,
        failureThreshold: 3,
      },
      restartPolicy: 'Always',
    },
  ];
}

/** @param image of our containers */
export function podOfVersionBefore(namespace: string, name: string, image: string) {
  return barePod(namespace, name, { initContainers: containersOfVersionBefore(image) });
}
