// Has a Deployment's pod admitted by the webhook as the API server would: AdmissionReview over HTTPS, patch applied.

import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { fileURLToPath } from 'node:url';
import { loadYaml } from '@kubernetes/client-node';
import jsonPatch from 'fast-json-patch';
import { Program } from '../test/harness/netns/processes.ts';
import type { ContainerSpec } from '../test/harness/netns/shipped-programs.ts';

const ROOT = new URL('../', import.meta.url);
const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';
const OWNER_UID = 'c0ffee00-52f9-4d0e-9b53-1d2e3f405162';

export interface AdmittedContainer extends ContainerSpec {
  restartPolicy?: string;
  lifecycle?: { postStart: { exec: { command: string[] } } };
}

export interface AdmittedPod {
  metadata: { annotations: Record<string, string> };
  spec: { initContainers: AdmittedContainer[] };
  /** Not of the Pod: the folder that the demo may write to. */
  folder: string;
}

interface Deployment {
  metadata: { name: string; namespace: string };
  spec: { template: { metadata: object; spec: object } };
}

/**
 * Starts the webhook without a cluster, sends it the pod of manifests/examples/object-store.yaml, stops it.
 * @param folder where the webhook may write its CA certificate, and the demo what a container has
 * @param legacy whether the webhook is told that nodes use iptables-legacy
 * @returns the pod with the webhook's patch applied
 */
export async function admit(folder: string, legacy: boolean): Promise<AdmittedPod> {
  const caFile = `${folder}/ca.pem`;
  const flags = ['--port', '0', '--metrics-port', '0', '--ca-file', caFile, '--drain-seconds', '0'];
  const options = ['--legacy-iptables', legacy ? 'enabled' : 'disabled'];
  const webhook = new Program(process.execPath, [
    fileURLToPath(new URL('dist/webhook.js', ROOT)),
    ...flags,
    ...options,
  ]);
  try {
    const [, port = ''] = await webhook.waitForOutput(/"port":(\d+),"metricsPort"/);
    const pod = await examplePod();
    const review = await post(Number(port), await readFile(caFile, 'utf8'), makeReview(pod));
    return { ...applyAnswer(pod, review), folder };
  } finally {
    await webhook.stop();
  }
}

async function examplePod() {
  const text = await readFile(new URL('manifests/examples/object-store.yaml', ROOT), 'utf8');
  const { metadata, spec } = loadYaml<Deployment>(text);
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `${metadata.name}-5d4b9c7f6`,
    uid: OWNER_UID,
    controller: true,
  };
  const generated = { generateName: `${owner.name}-`, namespace: metadata.namespace, ownerReferences: [owner] };
  return { apiVersion: 'v1', kind: 'Pod', ...spec.template, metadata: { ...spec.template.metadata, ...generated } };
}

function makeReview(pod: Awaited<ReturnType<typeof examplePod>>) {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: UID,
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      namespace: pod.metadata.namespace,
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        groups: ['system:authenticated'],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions' },
    },
  };
}

function post(port: number, ca: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const call = request({ host: '127.0.0.1', port, path: '/mutate', method: 'POST', ca, headers, timeout: 10_000 });
    call.on('timeout', () => call.destroy(new Error('the webhook did not answer within 10 s')));
    call.on('error', reject);
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    call.end(JSON.stringify(body));
  });
}

function applyAnswer(pod: object, answer: unknown): AdmittedPod {
  const { response } = answer as { response: { uid: string; allowed: boolean; patchType?: string; patch?: string } };
  if (response?.uid !== UID || !response.allowed || response.patchType !== 'JSONPatch' || !response.patch) {
    throw new Error(`the webhook did not patch the pod: ${JSON.stringify(answer)}`);
  }
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'));
  return jsonPatch.applyPatch(structuredClone(pod), patch, true).newDocument as unknown as AdmittedPod;
}
